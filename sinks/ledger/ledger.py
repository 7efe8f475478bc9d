"""The ledger: what each close decided, and its outcome. Both are created if absent.

The intent is recorded before anything is rendered: the window, the chosen coverage records, the
whole definition, the deletions used. A close that was killed between intent and outcome is made
again from its intent, with the same bytes. The outcome is recorded after the delivery. A close with
an outcome is done, and running it again changes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TypeVar

from schemas.errors import LedgerError
from sinks.instants import parse_stamp, stamp
from sinks.ledger.entry import read_entry, record_entry
from sinks.ledger.held import Held, LateRemoval, Release
from sinks.ledger.intent import Intent
from sinks.ledger.names import ChainPath, EntryPath, InitialPath, WaitingPath, entry_name
from sinks.ledger.outcome import CloseOutcome
from sinks.ledger.record import CloseRecord, read_record, removal_entry
from sinks.ledger.revision import Revision
from streams.storage.checked import create_checked
from streams.storage.store import Store

__all__ = ["Ledger"]

T = TypeVar("T")


class Ledger:
    """Intents and outcomes in a store: `ledger/exports/<export>/<instant>/…`.

    A close has `intent.json` and `outcome.json`; its revisions have `r<n>.intent.json` and
    `r<n>.outcome.json`. `ledger/chain/<export>/<previous>` names the close that follows another,
    and `…/first` names the first close. `ledger/initial/<export>/<instant>` says that a person
    wanted the export's initial drop at that instant; this doesn't begin a close.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def record_intent(self, intent: Intent) -> Intent:
        """Record an intent and return it; if the close had one before, return that."""
        read = partial(Intent.from_json, intent.export, intent.instant)
        name = entry_name(intent.export, intent.instant, "intent")
        return record_entry(self.store, name, intent.to_json(), read)

    def record_of(self, export: str, instant: dt.datetime) -> CloseRecord | None:
        """Return all that is recorded of a close; None if it wasn't begun."""
        return read_record(self.store, export, instant)

    def again(self, record: CloseRecord) -> CloseRecord:
        """Read a close's record again: what was recorded since is added."""
        return read_record(self.store, record.export, record.instant, record) or record

    def record_held(self, record: CloseRecord, held: Held) -> None:
        """Record that a drop is held; an earlier record of it stays."""
        create_checked(
            self.store, entry_name(record.export, record.instant, "held"), held.to_json()
        )

    def record_release(self, record: CloseRecord, release: Release) -> Release:
        """Record a release and return it; if there was one before, return that."""
        name = entry_name(record.export, record.instant, "release")
        return record_entry(self.store, name, release.to_json(), Release.from_json)

    def record_removal(self, record: CloseRecord, removal: LateRemoval) -> CloseRecord:
        """Record what is left out of a drop of which nothing has left.

        Returns the latest record. If another run recorded its own removal first, the record has
        that one instead. A close that is done by now stays as it is.
        """
        latest = self.again(record)
        if latest.is_done:
            return latest
        entry = removal_entry(len(latest.removals) + 1)
        name = entry_name(record.export, record.instant, entry)
        if create_checked(self.store, name, removal.to_json()):
            return replace(latest, removals=(*latest.removals, removal))
        return self.again(latest)

    def claim(self, export: str, previous: dt.datetime | None, instant: dt.datetime) -> dt.datetime:
        """Claim the place after a previous close (None: the first place) for the close at an
        instant.

        Returns the instant of the close that has the place, which another run may have claimed
        before.
        """
        content = f"{stamp(instant)}\n".encode()
        return record_entry(self.store, str(ChainPath(export, previous)), content, _linked)

    def claimed(self, export: str, previous: dt.datetime | None) -> dt.datetime | None:
        """Return the instant of the close that claimed the place after a previous one; None if none
        did.
        """
        return read_entry(self.store, str(ChainPath(export, previous)), _linked)

    def request_initial(self, export: str, instant: dt.datetime) -> None:
        """Record that the close at an instant should make the export's initial drop."""
        create_checked(
            self.store, str(InitialPath(export, instant)), f"{stamp(instant)}\n".encode()
        )

    def is_initial_requested(self, export: str, instant: dt.datetime) -> bool:
        """Whether the close at an instant was ever requested as the export's initial drop."""
        return read_entry(self.store, str(InitialPath(export, instant)), lambda _: True) is not None

    def record_outcome(self, intent: Intent, outcome: CloseOutcome) -> CloseOutcome:
        """Record an outcome and return the recorded one, which may be an earlier one.

        Raises LedgerError if the recorded outcome has another checksum or balance: two runs
        disagreed.
        """
        return self._record_outcome(intent, outcome, 0)

    def record_revision(self, revision: Revision) -> Revision:
        """Record a revision and return it; if its number had one before, return that."""
        intent, number = revision.intent, revision.number
        read = partial(Revision.from_json, number, intent.export, intent.instant)
        name = entry_name(intent.export, intent.instant, "intent", number)
        return record_entry(self.store, name, revision.to_json(), read)

    def record_revision_outcome(self, revision: Revision, outcome: CloseOutcome) -> CloseOutcome:
        """Record the outcome of a revision; see `record_outcome`."""
        return self._record_outcome(revision.intent, outcome, revision.number)

    def _record_outcome(self, intent: Intent, outcome: CloseOutcome, revision: int) -> CloseOutcome:
        name = entry_name(intent.export, intent.instant, "outcome", revision)
        recorded = record_entry(self.store, name, outcome.to_json(), CloseOutcome.from_json)
        if (recorded.sha256, recorded.balance) != (outcome.sha256, outcome.balance):
            raise LedgerError(
                what=f"recorded with sha256 {recorded.sha256}, this run made {outcome.sha256}",
                where=intent.drop_id,
                hint="a close must give the same bytes each time: keep both files, report this",
            )
        return recorded

    def intent(self, export: str, instant: dt.datetime) -> Intent | None:
        """Return the intent of a close; None if it wasn't begun."""
        read = partial(Intent.from_json, export, instant)
        return read_entry(self.store, entry_name(export, instant, "intent"), read)

    def outcome(self, export: str, instant: dt.datetime, revision: int = 0) -> CloseOutcome | None:
        """Return the outcome of a close or of a revision of its drop; None if it isn't finished."""
        name = entry_name(export, instant, "outcome", revision)
        return read_entry(self.store, name, CloseOutcome.from_json)

    def revision(self, export: str, instant: dt.datetime, number: int) -> Revision | None:
        """Return a revision of a close's drop; None if it wasn't begun, or for number 0, the drop
        itself.
        """
        if not number:
            return None
        read = partial(Revision.from_json, number, export, instant)
        return read_entry(self.store, entry_name(export, instant, "intent", number), read)

    def revisions(self, export: str, instant: dt.datetime) -> list[int]:
        """Return the numbers of the begun revisions, in order."""
        entries = EntryPath.among(self.store.names(EntryPath.folder(export, instant)))
        return sorted(path.revision for path in entries if path.revision and path.entry == "intent")

    def unfinished_revision(self, export: str, instant: dt.datetime) -> Revision | None:
        """Return the last revision of a closed drop if it isn't finished; None otherwise."""
        numbers = self.revisions(export, instant)
        if not numbers or self.outcome(export, instant) is None:
            return None
        if self.outcome(export, instant, numbers[-1]) is not None:
            return None
        return self.revision(export, instant, numbers[-1])

    def exports(self) -> list[str]:
        """Return the names of all exports that ever began a close, sorted."""
        closes = EntryPath.first_of_each_folder(self.store.names(EntryPath.folder()))
        return sorted({path.export for path in closes})

    def closes(self, export: str) -> Iterator[dt.datetime]:
        """Yield the instants of all closes that were begun, oldest first."""
        closes = EntryPath.first_of_each_folder(self.store.names(EntryPath.folder(export)))
        yield from sorted(path.instant for path in closes)

    def begun(self) -> Iterator[tuple[str, dt.datetime]]:
        """Yield export and instant of every close that may be half done, sorted by export and
        instant.

        These are closes without an outcome, and closes with a revision, as a revision's last step
        leaves no entry.
        """
        names = list(self.store.names(EntryPath.folder()))
        found = set(names)
        begun = [
            (path.export, path.instant)
            for path in EntryPath.first_of_each_folder(names)
            if entry_name(path.export, path.instant, "outcome") not in found
            or entry_name(path.export, path.instant, "intent", 1) in found
        ]
        yield from sorted(begun)

    def waiting_files(self) -> Iterator[tuple[str, dt.datetime, str]]:
        """Yield export, instant and file name of all facts that waited after a close."""
        for path in WaitingPath.among(self.store.names(WaitingPath.folder())):
            yield path.export, path.instant, str(path)

    def waiting_name(self, export: str, instant: dt.datetime) -> str:
        """Return the name of the file with the facts that still wait for their campaign after a
        close.
        """
        return str(WaitingPath(export, instant))


def _linked(content: bytes) -> dt.datetime:
    return parse_stamp(content.decode().strip())
