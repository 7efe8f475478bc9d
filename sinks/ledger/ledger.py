"""The ledger: what each close set out to do, and what came of it; both are created if absent.

The intent is recorded before anything is rendered: the window, which coverage records were chosen,
the whole definition, the deletions used. What was killed between intent and outcome is made again
from its intent, with the same bytes. The outcome is recorded after the delivery; a close that has
one is done, and running it again changes nothing.
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
from streams.storage.store import Store

__all__ = ["Ledger"]

T = TypeVar("T")


class Ledger:
    """Intents and outcomes in a store: `ledger/exports/<export>/<instant>/…`.

    Those of a close are `intent.json` and `outcome.json`, those of its revisions are called
    `r<n>.intent.json` and `r<n>.outcome.json`. `ledger/chain/<export>/<previous>` names the close
    that follows another, `…/first` the first. `ledger/initial/<export>/<instant>` says that a close
    was asked for as the export's initial drop; it is no begin of one.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def record_intent(self, intent: Intent) -> Intent:
        """Record an intent and return it, or the one that was recorded for this close before."""
        read = partial(Intent.from_json, intent.export, intent.instant)
        name = entry_name(intent.export, intent.instant, "intent")
        return record_entry(self.store, name, intent.to_json(), read)

    def record_of(self, export: str, instant: dt.datetime) -> CloseRecord | None:
        """Return all that is recorded of a close; None where it wasn't begun."""
        return read_record(self.store, export, instant)

    def again(self, record: CloseRecord) -> CloseRecord:
        """Return a close's record with what was recorded since it was read."""
        return read_record(self.store, record.export, record.instant, record) or record

    def record_held(self, record: CloseRecord, held: Held) -> None:
        """Record that a drop is held; where it was recorded before, that stays."""
        self.store.create(entry_name(record.export, record.instant, "held"), held.to_json())

    def record_release(self, record: CloseRecord, release: Release) -> Release:
        """Record a release and return it, or the one that was recorded before."""
        name = entry_name(record.export, record.instant, "release")
        return record_entry(self.store, name, release.to_json(), Release.from_json)

    def record_removal(self, record: CloseRecord, removal: LateRemoval) -> CloseRecord:
        """Record what is left out of a drop of which nothing has left; return the record with it,
        and with what another run has recorded first. A close that is done by now stays as it is.
        """
        latest = self.again(record)
        if latest.is_done:
            return latest
        entry = removal_entry(len(latest.removals) + 1)
        if self.store.create(entry_name(record.export, record.instant, entry), removal.to_json()):
            return replace(latest, removals=(*latest.removals, removal))
        return self.again(latest)

    def claim(self, export: str, previous: dt.datetime | None, instant: dt.datetime) -> dt.datetime:
        """Let the close at an instant be the one that follows the previous (None: be the first);
        return the instant of the one that is, which another may have claimed before.
        """
        content = f"{stamp(instant)}\n".encode()
        return record_entry(self.store, str(ChainPath(export, previous)), content, _linked)

    def claimed(self, export: str, previous: dt.datetime | None) -> dt.datetime | None:
        """Return the instant of the close that follows the previous, if one has begun."""
        return read_entry(self.store, str(ChainPath(export, previous)), _linked)

    def request_initial(self, export: str, instant: dt.datetime) -> None:
        """Record that the close at an instant is to make the export's initial drop."""
        self.store.create(str(InitialPath(export, instant)), f"{stamp(instant)}\n".encode())

    def is_initial_requested(self, export: str, instant: dt.datetime) -> bool:
        """Whether the close at an instant was ever asked for as the export's initial drop."""
        return read_entry(self.store, str(InitialPath(export, instant)), lambda _: True) is not None

    def record_outcome(self, intent: Intent, outcome: CloseOutcome) -> CloseOutcome:
        """Record an outcome and return it, or the one that was recorded for this close before.

        Raises LedgerError where the recorded one has other bytes: two closers disagreed.
        """
        return self._record_outcome(intent, outcome, 0)

    def record_revision(self, revision: Revision) -> Revision:
        """Record a revision and return it, or the one of its number that was recorded before."""
        intent, number = revision.intent, revision.number
        read = partial(Revision.from_json, number, intent.export, intent.instant)
        name = entry_name(intent.export, intent.instant, "intent", number)
        return record_entry(self.store, name, revision.to_json(), read)

    def record_revision_outcome(self, revision: Revision, outcome: CloseOutcome) -> CloseOutcome:
        """Record what came of a revision; see `record_outcome`."""
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
        """Return the intent of a close, if it was begun."""
        read = partial(Intent.from_json, export, instant)
        return read_entry(self.store, entry_name(export, instant, "intent"), read)

    def outcome(self, export: str, instant: dt.datetime, revision: int = 0) -> CloseOutcome | None:
        """Return the outcome of a close, or of a revision of its drop, if it was finished."""
        name = entry_name(export, instant, "outcome", revision)
        return read_entry(self.store, name, CloseOutcome.from_json)

    def revision(self, export: str, instant: dt.datetime, number: int) -> Revision | None:
        """Return a revision of a close's drop, if it was begun; the drop itself (0) is none."""
        if not number:
            return None
        read = partial(Revision.from_json, number, export, instant)
        return read_entry(self.store, entry_name(export, instant, "intent", number), read)

    def revisions(self, export: str, instant: dt.datetime) -> list[int]:
        """Return the numbers of the revisions that were begun, in order."""
        entries = EntryPath.among(self.store.names(EntryPath.folder(export, instant)))
        return sorted(path.revision for path in entries if path.revision and path.entry == "intent")

    def unfinished_revision(self, export: str, instant: dt.datetime) -> Revision | None:
        """Return the last revision of a closed drop, if it was begun and not finished."""
        numbers = self.revisions(export, instant)
        if not numbers or self.outcome(export, instant) is None:
            return None
        if self.outcome(export, instant, numbers[-1]) is not None:
            return None
        return self.revision(export, instant, numbers[-1])

    def exports(self) -> list[str]:
        """Return the names of all exports that ever began a close, by name."""
        closes = EntryPath.first_of_each_folder(self.store.names(EntryPath.folder()))
        return sorted({path.export for path in closes})

    def closes(self, export: str) -> Iterator[dt.datetime]:
        """Yield the instants of all closes that were begun, oldest first."""
        closes = EntryPath.first_of_each_folder(self.store.names(EntryPath.folder(export)))
        yield from sorted(path.instant for path in closes)

    def begun(self) -> Iterator[tuple[str, dt.datetime]]:
        """Yield export and instant of every close that may be half done, an export's oldest first:
        without an outcome, or with a revision, whose last step leaves no entry.
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
        """Yield export, instant and name of every file of facts that waited."""
        for path in WaitingPath.among(self.store.names(WaitingPath.folder())):
            yield path.export, path.instant, str(path)

    def waiting_name(self, export: str, instant: dt.datetime) -> str:
        """Name of the file with the facts that still wait for their campaign after a close."""
        return str(WaitingPath(export, instant))


def _linked(content: bytes) -> dt.datetime:
    return parse_stamp(content.decode().strip())
