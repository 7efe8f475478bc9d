"""Erase the personal data of people whose deletion was recorded, from all stored data (SPEC §5).

A pass can be killed anywhere and run again: tombstones are written first, and what is settled is
written last. Closes and revisions that were begun are finished first, while their bytes can still
be made. A held drop waits, and its release honours the deletions known then.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from schemas.errors import DeltadropError, LedgerError, UnreadableError
from schemas.events import Kind
from schemas.tables import Catalog
from schemas.topics import Topic
from sinks.closing.bases import Bases
from sinks.closing.cut import Cuts
from sinks.closing.running import foreseen
from sinks.erasure.affected_drops import may_show
from sinks.erasure.deletions import Deletions, Recorded
from sinks.erasure.places import Places, Touched
from sinks.erasure.progress import Progress, SettledFiles
from sinks.instants import milliseconds
from sinks.ledger.names import drop_id
from sinks.repair.leftovers import Leftovers
from sinks.repair.report import RepairReport
from sinks.repair.revise import Reviser
from sinks.repair.revised import Revised, revised_of, unfinished
from sinks.wording import counted
from streams.erasure.files import Erased
from streams.erasure.tombstones import TombstoneFiles
from streams.storage.partitions import Partitions

__all__ = ["Eraser", "ErasureReport"]

log = structlog.get_logger(__name__)

REASON = "erasure of personal data"
"""The reason of revisions by erasure, in their manifests."""


@dataclass(slots=True)
class ErasureReport(RepairReport):
    """The result of a pass."""

    deletions: int = 0
    """Profiles whose deletions were recorded in this pass."""
    topics: dict[str, Erased] = field(default_factory=dict)
    """What was erased in the partitions, by topic."""
    bases: Erased = field(default_factory=Erased)
    """What was erased in bases."""
    waiting: Erased = field(default_factory=Erased)
    """What was erased in facts that wait for their campaign."""
    drops: list[Revised] = field(default_factory=list)
    """Drops that were made again."""
    leftovers: int = 0
    """Files of killed runs that were removed."""
    left: list[str] = field(default_factory=list)
    """What could not be done, and why."""

    def lines(self) -> Iterator[str]:
        """See RepairReport.lines."""
        yield f"deletions recorded: {counted(self.deletions, 'profile')}"
        for topic, erased in sorted(self.topics.items()):
            if erased.files:
                yield f"{topic}: {_counted(erased)}"
        yield f"bases: {_counted(self.bases)}"
        yield f"facts waiting for their campaign: {_counted(self.waiting)}"
        yield f"drops made again: {len(self.drops)}"
        for drop in self.drops:
            waits = f", not delivered to {', '.join(drop.awaited)} yet" if drop.awaited else ""
            yield f"  {drop.drop}: {drop.file or 'no rows are left, no file'}{waits}"
        yield f"leftovers of killed runs removed: {self.leftovers}"
        for reason in self.left:
            yield f"NOT DONE: {reason}"


@dataclass(frozen=True, slots=True)
class Eraser:
    """Runs erase passes."""

    prefix: str
    catalog: Catalog
    partitions: Partitions
    tombstones: TombstoneFiles
    bases: Bases
    cuts: Cuts
    deletions: Deletions
    reviser: Reviser
    leftovers: Leftovers

    def run(self) -> ErasureReport:
        """Run one pass over all databases.

        Raises DeltadropError if the pass could not continue; it is safe to run it again.
        """
        report = ErasureReport()
        self._finish_what_was_begun(report)
        for database in sorted(self.catalog.databases):
            self._erase(Topic(Kind.PROFILE, database, prefix=self.prefix), report)
        report.leftovers = self.leftovers.remove()
        return report

    def _finish_what_was_begun(self, report: ErasureReport) -> None:
        ledger = self.reviser.ledger
        for export in ledger.exports():
            for instant in ledger.closes(export):
                try:
                    with foreseen(export, instant):
                        self._finish(export, instant, report)
                except DeltadropError as error:
                    what = f"{drop_id(export, instant)} can't be finished: {error}"
                    self._leave(export, instant, report, what, str(error))

    def _finish(self, export: str, instant: dt.datetime, report: ErasureReport) -> None:
        ledger, reviser = self.reviser.ledger, self.reviser
        record = ledger.record_of(export, instant)
        if record is None:
            return
        if not record.is_done and record.waiting is None:
            reviser.closer.finish(record)
            record = ledger.again(record)
        finished = reviser.finish(record)
        if finished.is_any:
            revised = revised_of(finished.record)
            report.drops += [revised] if revised else []

    def _erase(self, profiles: Topic, report: ErasureReport) -> None:
        recorded = self._recorded(profiles, report)
        report.deletions += recorded.profiles
        report.left += recorded.holes
        settled = SettledFiles(self.partitions.store)
        before = settled.read(profiles.name)
        tombstones = self.tombstones.known(profiles.name)
        progress = Progress(tombstones, before, self._silent_until(profiles))
        places = Places(
            profiles,
            self.catalog,
            self.partitions,
            self.bases,
            self.reviser.ledger,
            progress,
        )
        for topic, erased in places.partitions().items():
            report.topics[topic] = erased
        report.bases += places.bases()
        report.waiting += places.waiting()
        report.left += places.left
        self._revise(profiles, progress, places.touched, report)
        settled.write(profiles.name, tombstones.last_number, progress.names)
        log.info("erased", database=profiles.database, deletions=recorded.profiles)

    def _recorded(self, profiles: Topic, report: ErasureReport) -> Recorded:
        """Record the new deletions of a database.

        If profile events can't be read, this is reported, and the known deletions are erased all
        the same.
        """
        try:
            return self.deletions.record(profiles)
        except UnreadableError as error:
            database = profiles.database
            report.left.append(f"new deletions in database '{database}' aren't erased yet: {error}")
            return Recorded()

    def _revise(
        self, profiles: Topic, progress: Progress, touched: Touched, report: ErasureReport
    ) -> None:
        for export, instant in self._closes(profiles, report):
            name = drop_id(export, instant)
            try:
                if may_show(self.reviser, export, instant, progress, touched):
                    revised = self.reviser.revise(export, instant, REASON)
                    report.drops += [revised] if revised else []
            except Exception as error:
                # A drop that can't be made again, for example as its partitions were removed long
                # ago, doesn't stop the others.
                reason = _why_not(error, name)
                may_hold = f"{name} may hold data of people who are gone and can't be made again"
                self._leave(export, instant, report, f"{may_hold}: {reason}", reason)
            else:
                progress.names.add(name)

    def _leave(
        self, export: str, instant: dt.datetime, report: ErasureReport, what: str, why: str
    ) -> None:
        """Report what could not be done of a drop.

        A drop with an unfinished revision counts as made again, and only waits for its locations.
        what: the message on any other drop.
        """
        revised = None
        with suppress(LedgerError):  # reported below, as `what`
            receipts = self.reviser.closer.deliveries.receipts
            revised = unfinished(self.reviser.ledger, receipts, export, instant)
        if revised is None:
            report.left.append(what)
        elif (revised.drop, revised.revision) not in [
            (drop.drop, drop.revision) for drop in report.drops
        ]:
            report.drops.append(revised)
            report.left.append(f"{revised.undelivered}: {why}")

    def _closes(self, profiles: Topic, report: ErasureReport) -> Iterable[tuple[str, dt.datetime]]:
        """Yield the finished closes of a database's exports. Closes that can't be read are
        reported.
        """
        ledger = self.reviser.ledger
        for export in ledger.exports():
            for instant in ledger.closes(export):
                try:
                    database = self._database(export, instant)
                except LedgerError as error:
                    what = f"{drop_id(export, instant)} may hold data of people who are gone"
                    report.left.append(f"{what}: {error}")
                    continue
                if database == profiles.database:
                    yield export, instant

    def _database(self, export: str, instant: dt.datetime) -> str | None:
        """Return the database of a finished close's export; None if the close isn't finished."""
        intent = self.reviser.ledger.intent(export, instant)
        if intent is None or self.reviser.ledger.outcome(export, instant) is None:
            return None
        return intent.decided_export.definition.database

    def _silent_until(self, profiles: Topic) -> int | None:
        """Return the latest cut (UTC ms) up to which all profile events were looked at; None if
        none is.
        """
        for instant in reversed(self.cuts.instants()):
            cut = self.cuts.recorded(profiles.name, instant)
            if cut is None:
                continue
            looked = self.tombstones.looked_up_to(profiles.name, cut.topic_id)
            if all(end <= looked.get(number, 0) for number, end in enumerate(cut.offsets)):
                return milliseconds(instant)
        return None


def _why_not(error: Exception, drop: str) -> str:
    """Return why a drop isn't made again or not delivered, and log it.

    For an unexpected error, the log has the details.
    """
    if isinstance(error, DeltadropError):
        log.error("drop not made again or not delivered", drop=drop, error=str(error))
        return str(error)
    log.exception("drop not made again or not delivered", drop=drop)
    return f"{type(error).__name__}; the log has the details"


def _counted(erased: Erased) -> str:
    rows, files = counted(erased.rows, "row"), counted(erased.files, "file")
    return f"{counted(erased.values, 'value')} in {rows} of {files}"
