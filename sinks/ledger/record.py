"""All that is recorded of a close, in one value.

Entries are created if absent, never changed and never removed: a record can become out of date only
by what is recorded later, and reading it again (`read_record` with the one known) reads only that.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from schemas.errors import LedgerError
from sinks.ledger.entry import read_entry
from sinks.ledger.held import Held, LateRemoval, Release
from sinks.ledger.intent import Intent
from sinks.ledger.names import EntryPath, entry_name
from sinks.ledger.outcome import CloseOutcome
from sinks.ledger.revision import Revision
from streams.storage.store import Store

__all__ = ["CloseRecord", "LatestDrop", "RecordedRevision", "read_record", "removal_entry"]

T = TypeVar("T")

_REMOVAL: Final = "deletions-"
"""How the entries with what was left out begin; they are counted from 1."""


@dataclass(frozen=True, slots=True)
class RecordedRevision:
    """A revision and what came of it; None: it was begun and isn't finished."""

    revision: Revision
    outcome: CloseOutcome | None = None


@dataclass(frozen=True, slots=True)
class LatestDrop:
    """The drop of a close that is there now: all that decided it, what came of it, and the revision
    that it is (None: it is the drop of the close itself).
    """

    intent: Intent
    outcome: CloseOutcome
    revision: Revision | None = None

    @property
    def number(self) -> int:
        """The number of the revision; 0 for the drop of the close itself."""
        return self.revision.number if self.revision else 0


@dataclass(frozen=True, slots=True)
class CloseRecord:
    """A close that was begun, as the ledger has it. removals and revisions are in their order."""

    intent: Intent
    outcome: CloseOutcome | None = None
    held: Held | None = None
    release: Release | None = None
    removals: tuple[LateRemoval, ...] = ()
    revisions: tuple[RecordedRevision, ...] = ()

    @property
    def export(self) -> str:
        """The export's name."""
        return self.intent.export

    @property
    def instant(self) -> dt.datetime:
        """The instant at which its window ends."""
        return self.intent.instant

    @property
    def is_done(self) -> bool:
        """Whether it was delivered."""
        return self.outcome is not None

    @property
    def waiting(self) -> Held | None:
        """Why its drop waits for a person; None where it doesn't: not held, or released."""
        return self.held if self.release is None else None

    @property
    def decides(self) -> Intent:
        """What decides the bytes of the close's own drop.

        That is the intent, with what was known of deletions, and of rows that were taken out, when
        the drop was released or a later run went on with it. Each of these was recorded with all
        that was known by then, so that what was recorded last contains the others. A run that was
        held up may have recorded less than another before it: nothing comes back into a drop.
        """
        deletions, rows = self.intent.deletions, self.intent.taken_out
        if self.release is not None:
            deletions = _grown(deletions, self.release.deletions)
        for removal in self.removals:
            deletions, rows = _grown(deletions, removal.deletions), _grown(rows, removal.rows)
        return self.intent.without(deletions, rows)

    @property
    def latest(self) -> LatestDrop | None:
        """The drop that is there now; None where nothing was delivered.

        A revision that was begun and not finished doesn't count.
        """
        if self.outcome is None:
            return None
        for recorded in reversed(self.revisions):
            if recorded.outcome is not None:
                revision = recorded.revision
                return LatestDrop(revision.intent, recorded.outcome, revision)
        return LatestDrop(self.decides, self.outcome)

    @property
    def last_revision(self) -> RecordedRevision | None:
        """The revision that was begun last, if any."""
        return self.revisions[-1] if self.revisions else None

    def outcome_of(self, number: int) -> CloseOutcome | None:
        """What came of a revision, or (number 0) of the close itself."""
        if number == 0:
            return self.outcome
        numbered = {recorded.revision.number: recorded.outcome for recorded in self.revisions}
        return numbered.get(number)

    def refuse_other_bytes(self, sha256: str) -> None:
        """Raise LedgerError where a released drop has other bytes than the one that was held,
        though no deletion of a profile has come since, and no row was taken out.
        """
        if self.held is None or self.held.sha256 == sha256 or self.decides != self.intent:
            return
        raise LedgerError(
            what=f"was held with sha256 {self.held.sha256}, this run made {sha256}",
            where=self.intent.drop_id,
            hint="a drop must have the same bytes each time: nothing was sent, report this",
        )


def read_record(
    store: Store, export: str, instant: dt.datetime, known: CloseRecord | None = None
) -> CloseRecord | None:
    """Read all that is recorded of a close; None where it wasn't begun.

    One listing says which entries there are, and only these are read. known: the record as it was
    read before; what it has is not read again. Raises LedgerError where an entry can't be read.
    """
    names = store.names(EntryPath.folder(export, instant))
    found = {(path.revision, path.entry) for path in EntryPath.among(names)}
    entries = _Entries(store, export, instant, found)
    parse_intent = partial(Intent.from_json, export, instant)
    intent = entries.read("intent", parse_intent, known.intent if known else None)
    if intent is None:
        return None
    before = known or CloseRecord(intent)
    return CloseRecord(
        intent,
        entries.read("outcome", CloseOutcome.from_json, before.outcome),
        entries.read("held", Held.from_json, before.held),
        entries.read("release", Release.from_json, before.release),
        entries.removals(before.removals),
        entries.revisions(before.revisions),
    )


def removal_entry(number: int) -> str:
    """The entry with what was left out of a drop, for that time."""
    return f"{_REMOVAL}{number}"


@dataclass(frozen=True, slots=True)
class _Entries:
    """The entries of a close. found: those that a listing has, each with its revision."""

    store: Store
    export: str
    instant: dt.datetime
    found: Set[tuple[int, str]]

    def read(
        self, entry: str, parse: Callable[[bytes], T], known: T | None, revision: int = 0
    ) -> T | None:
        """Read an entry that was found, unless it is known."""
        if known is not None or (revision, entry) not in self.found:
            return known
        return read_entry(self.store, entry_name(self.export, self.instant, entry, revision), parse)

    def removals(self, known: tuple[LateRemoval, ...]) -> tuple[LateRemoval, ...]:
        """Read what was taken out, time after time. All before the last one are there, also where
        the listing has missed one that was created meanwhile.
        """
        entries = [entry for _, entry in self.found if entry.startswith(_REMOVAL)]
        last = max((int(entry.removeprefix(_REMOVAL)) for entry in entries), default=0)
        removals = [*known]
        for number in range(len(known) + 1, last + 1):
            name = entry_name(self.export, self.instant, removal_entry(number))
            removal = read_entry(self.store, name, LateRemoval.from_json)
            removals += [removal] if removal else []
        return tuple(removals)

    def revisions(self, known: tuple[RecordedRevision, ...]) -> tuple[RecordedRevision, ...]:
        """Read the revisions and their outcomes."""
        before = {recorded.revision.number: recorded for recorded in known}
        revisions = []
        begun = [number for number, entry in self.found if number and entry == "intent"]
        for number in sorted(begun):
            earlier = before.get(number)
            parse = partial(Revision.from_json, number, self.export, self.instant)
            revision = self.read("intent", parse, earlier.revision if earlier else None, number)
            outcome = earlier.outcome if earlier else None
            outcome = self.read("outcome", CloseOutcome.from_json, outcome, number)
            revisions += [RecordedRevision(revision, outcome)] if revision else []
        return tuple(revisions)


def _grown(before: tuple[T, ...], later: tuple[T, ...]) -> tuple[T, ...]:
    """The later of two sets of removals, with what only the earlier one has, if anything."""
    if set(later) <= set(before):
        return before
    added = set(later)
    return (*later, *(removal for removal in before if removal not in added))
