"""All that is recorded of a close, as one value.

Entries are created if absent, never changed and never removed. So only later entries can make a
record out of date, and reading it again (`read_record` with the known record) reads only those.
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
"""Beginning of the names of entries with what was left out; they are numbered from 1."""


@dataclass(frozen=True, slots=True)
class RecordedRevision:
    """A revision and its outcome; outcome None: it isn't finished."""

    revision: Revision
    outcome: CloseOutcome | None = None


@dataclass(frozen=True, slots=True)
class LatestDrop:
    """The current drop of a close: its intent, its outcome, and its revision.

    revision: None if it is the drop of the close itself.
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
    """All that the ledger has of a begun close. removals, revisions: in their order."""

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
        """Whether it has an outcome."""
        return self.outcome is not None

    @property
    def waiting(self) -> Held | None:
        """The hold of its drop that waits for a person; None if it isn't held or was released."""
        return self.held if self.release is None else None

    @property
    def decides(self) -> Intent:
        """The intent that decides the bytes of the close's own drop.

        It is the recorded intent, with the deletions and taken-out rows that were known when the
        drop was released, or when a later run continued the close. Each such entry has all that was
        known then, so the last entry contains the earlier ones. A delayed run may record less than
        a run before it; what was left out once is still never put back.
        """
        deletions, rows = self.intent.deletions, self.intent.taken_out
        if self.release is not None:
            deletions = _grown(deletions, self.release.deletions)
        for removal in self.removals:
            deletions, rows = _grown(deletions, removal.deletions), _grown(rows, removal.rows)
        return self.intent.without(deletions, rows)

    @property
    def latest(self) -> LatestDrop | None:
        """The current drop; None if nothing was delivered. An unfinished revision doesn't count."""
        if self.outcome is None:
            return None
        for recorded in reversed(self.revisions):
            if recorded.outcome is not None:
                revision = recorded.revision
                return LatestDrop(revision.intent, recorded.outcome, revision)
        return LatestDrop(self.decides, self.outcome)

    @property
    def last_revision(self) -> RecordedRevision | None:
        """The revision that was begun last; None if there is none."""
        return self.revisions[-1] if self.revisions else None

    def outcome_of(self, number: int) -> CloseOutcome | None:
        """Return the outcome of a revision, or of the close itself (number 0); None if there is
        none.
        """
        if number == 0:
            return self.outcome
        numbered = {recorded.revision.number: recorded.outcome for recorded in self.revisions}
        return numbered.get(number)

    def refuse_other_bytes(self, sha256: str) -> None:
        """Raise LedgerError if a released drop has other bytes than the held one without a reason.

        A reason is any deletion of a profile or taken-out row that was added since.
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
    """Read all that is recorded of a close; None if it wasn't begun.

    One listing shows which entries exist, and only these are read. known: an earlier record; its
    entries aren't read again. Raises LedgerError if an entry can't be read.
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
    """Return the name of the entry with the removal of this number."""
    return f"{_REMOVAL}{number}"


@dataclass(frozen=True, slots=True)
class _Entries:
    """The entries of a close. found: revision and name of each entry that a listing has shown."""

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
        """Read the removals in order. All numbers up to the last are read, even if the listing
        lacks one.

        A listing may miss an entry that is created at the same time.
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
    """Return the later of two sets of removals, plus what only the earlier one has."""
    if set(later) <= set(before):
        return before
    added = set(later)
    return (*later, *(removal for removal in before if removal not in added))
