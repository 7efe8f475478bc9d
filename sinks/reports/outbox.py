"""Reports in the store, with a note for each channel that has sent one.

A report is created if absent, so there is one for an outcome, however often it is made. A channel's
note is created when it has sent the report; without a note, the next run sends it. If only some
recipients have the report, a list names the others. One more file has the reason why a channel
can't send.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import structlog

from schemas.errors import PartitionError
from sinks.reports.channel import (
    PartlySentError,
    RefusedError,
    ReportChannel,
    UnreachableError,
)
from sinks.reports.names import LeftPath, ReportPath, SentPath, SincePath, TroublePath
from sinks.reports.report import TROUBLES, Report, ReportKind
from streams.storage.checked import AlteredRecordError, create_checked, read_checked
from streams.storage.store import Store, age_of

__all__ = ["Outbox", "PendingReport", "latest_trouble"]

log = structlog.get_logger(__name__)

_DAY_SECONDS: Final = 86_400
_TRIED_DAYS: Final = 7  # after that a report is old news; the log says that it wasn't sent
_RETAINED_DAYS: Final = 90

_END_REPORTED: Final = "end_reported"
"""A key of stored reports: their release reports the end of a trouble, too."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A report in the outbox."""

    path: ReportPath
    done: frozenset[str]  # the channels that sent it


class _Stored(NamedTuple):
    """A report as it is stored: the channels that want it, and whether the release that made it
    reports the end of a trouble, too.
    """

    channels: tuple[str, ...]
    report: Report
    end_reported: bool


@dataclass(frozen=True, slots=True)
class PendingReport:
    """What a channel has still to send."""

    channel: str
    """The channel: mail or webhook."""
    reports: int
    """How many reports."""
    since: str
    """When the oldest was made."""
    why: str
    """Why the last sending failed; empty where none was tried."""


class Outbox:
    """Stored reports, and their sending by channels."""

    def __init__(self, store: Store, channels: Sequence[ReportChannel]) -> None:
        self._store = store
        self._channels = channels
        self._former: set[ReportPath] = set()

    def since(self, now: datetime) -> datetime:
        """Return the moment since which reports are made. Closes from before it, by an older
        version, aren't reported.
        """
        name = str(SincePath())
        self._store.create(name, json.dumps(now.isoformat()).encode())
        return datetime.fromisoformat(json.loads(self._store.read(name)))

    def put(self, report: Report) -> bool:
        """Store a report for sending; return False if it was stored before."""
        wanted = [channel.name for channel in self._channels if channel.wants(report)]
        entry = {
            "channels": wanted,
            "report": json.loads(report.model_dump_json()),
            _END_REPORTED: True,
        }
        return create_checked(self._store, _name(report), json.dumps(entry).encode())

    def has(self, export: str, instant: datetime, kind: ReportKind) -> bool:
        """Whether a close has a report of this kind; for trouble, whatever its cause."""
        return any(path.is_of(kind) for path in _reports_of(self._store, export, instant))

    def unsettled(self) -> Iterator[Report]:
        """Yield the reports of trouble that no report says is over. Those of releases that didn't
        report the end of a trouble aren't among them: most of them ended long ago.
        """
        paths = set(ReportPath.among(self._store.names(ReportPath.folder())))
        for path in sorted(paths - self._former):
            if any(map(path.is_of, TROUBLES)) and path.settled not in paths:
                stored = _read(self._store, str(path))
                if stored is not None and stored.end_reported:
                    yield stored.report
                else:
                    self._former.add(path)

    def pending(self) -> list[Report]:
        """Return the reports that a channel has still to send, trouble first, then oldest first."""
        names = {channel.name for channel in self._channels}
        found = [report for entry in self._entries() for report in self._pending(entry, names)]
        return _trouble_first(found)

    def undelivered(self) -> list[PendingReport]:
        """Return the channels that have something to send, and why the last sending failed."""
        entries = list(self._entries())
        found = []
        for name in (channel.name for channel in self._channels):
            made_at = [left.told_at for entry in entries for left in self._pending(entry, {name})]
            if made_at:
                found.append(PendingReport(name, len(made_at), min(made_at), self._trouble(name)))
        return found

    def send(self, may_send: Callable[[], bool] = lambda: True) -> int:
        """Send what hasn't been sent, trouble first; return the number of sendings.

        may_send: called before each sending; False leaves the rest to another run.

        A report that can't be sent stays; after a week it is given up, which the log says.
        """
        entries = list(self._entries())
        sent = sum(self._send_by(channel, entries, may_send) for channel in self._channels)
        self._clear_away(entries)
        return sent

    def _send_by(
        self, channel: ReportChannel, entries: Sequence[_Entry], may_send: Callable[[], bool]
    ) -> int:
        pending = (report for entry in entries for report in self._pending(entry, {channel.name}))
        sent, trouble = 0, ""
        for report in _trouble_first(pending):
            if not may_send():
                break
            try:
                self._send_one(channel, report)
            except UnreachableError as error:
                trouble = str(error)
                log.warning("reports not sent: tried again later", error=trouble)
                self._give_up(channel, report)
                break
            except Exception as error:  # a faulty report must not stop the others
                trouble = str(error)
                log.warning("report not sent: tried again later", id=report.id, error=trouble)
                self._give_up(channel, report)
                continue
            self._note(channel, report)
            log.info("report sent", channel=channel.name, id=report.id)
            sent += 1
        self._note_trouble(channel, trouble)
        return sent

    def _send_one(self, channel: ReportChannel, report: Report) -> None:
        """Send a report to the recipients who don't have it yet."""
        left = self._left(channel, report)
        try:
            channel.send(report.model_copy(update={"recipients": left}) if left else report)
        except PartlySentError as error:
            self._leave(channel, report, error.recipients)
            raise
        except RefusedError as error:
            if not left:
                raise
            # The recipients who accept it have it: the report is done.
            log.warning("report refused", id=report.id, error=str(error))

    def _note_trouble(self, channel: ReportChannel, trouble: str) -> None:
        """Store why a channel can't send, for `status`. An error of the store is ignored: `status`
        shows a full disk on a line of its own.
        """
        name = str(TroublePath(channel.name))
        if trouble == self._trouble(channel.name):
            return
        if not trouble:
            self._store.remove(name)
        else:
            content = json.dumps({"why": trouble}).encode()
            with suppress(PartitionError):
                self._store.write(name, lambda file: file.write(content))

    def _trouble(self, channel: str) -> str:
        try:
            return str(json.loads(self._store.read(str(TroublePath(channel))))["why"])
        except FileNotFoundError:
            return ""

    def _left(self, channel: ReportChannel, report: Report) -> tuple[str, ...]:
        """Return the recipients who don't have a report that others have; else an empty tuple."""
        try:
            return tuple(json.loads(self._store.read(_left_name(channel, report))))
        except FileNotFoundError:
            return ()

    def _leave(self, channel: ReportChannel, report: Report, recipients: tuple[str, ...]) -> None:
        content = json.dumps(recipients).encode()
        self._store.write(_left_name(channel, report), lambda file: file.write(content))

    def _give_up(self, channel: ReportChannel, report: Report) -> None:
        if age_of(self._store, _name(report)) > _TRIED_DAYS * _DAY_SECONDS:
            log.error("report given up after a week", channel=channel.name, id=report.id)
            self._note(channel, report)

    def _note(self, channel: ReportChannel, report: Report) -> None:
        path = ReportPath.of_id(report.id)
        self._store.create(str(SentPath.of(path, channel.name)), b"")
        self._store.remove(_left_name(channel, report))

    def _entries(self) -> Iterator[_Entry]:
        names = list(self._store.names(ReportPath.folder()))
        done: dict[ReportPath, set[str]] = {}
        for sent in SentPath.among(names):
            done.setdefault(sent.of_report, set()).add(sent.channel)
        for path in ReportPath.among(names):
            yield _Entry(path, frozenset(done.get(path, ())))

    def _pending(self, entry: _Entry, channels: Collection[str]) -> Iterator[Report]:
        if entry.done.issuperset(channels):
            return
        found = _read(self._store, str(entry.path))
        if found and any(name in channels and name not in entry.done for name in found.channels):
            yield found.report

    def _clear_away(self, entries: Sequence[_Entry]) -> None:
        for entry in entries:
            if age_of(self._store, str(entry.path)) > _RETAINED_DAYS * _DAY_SECONDS:
                for channel in entry.done:
                    self._store.remove(str(SentPath.of(entry.path, channel)))
                self._store.remove(str(entry.path))


def _name(report: Report) -> str:
    return str(ReportPath.of_id(report.id))


def _left_name(channel: ReportChannel, report: Report) -> str:
    return str(LeftPath.of(ReportPath.of_id(report.id), channel.name))


def _reports_of(store: Store, export: str, instant: datetime) -> Iterator[ReportPath]:
    return ReportPath.among(store.names(ReportPath.folder(export, instant)))


def latest_trouble(
    store: Store, export: str, instant: datetime, revision: int = 0
) -> Report | None:
    """Return the latest report that a window can't be closed or, with `revision`, that this
    revision of its drop can't be delivered; None without one.
    """
    found = (_read(store, str(path)) for path in _reports_of(store, export, instant))
    troubles = [
        report
        for report in (stored.report for stored in filter(None, found))
        if report.kind in (ReportKind.HELD, ReportKind.FAILED) and report.revision == revision
    ]
    return max(troubles, key=lambda report: report.told_at, default=None)


def _read(store: Store, name: str) -> _Stored | None:
    """Read a stored report; None if it can't be read."""
    try:
        return read_checked(store, name, _parsed)
    except FileNotFoundError:
        return None  # another run removed it
    except AlteredRecordError as error:  # others are sent all the same
        log.warning("report left out", why=str(error))
        return None


def _parsed(content: bytes) -> _Stored:
    fields = json.loads(content)
    report = Report.model_validate(fields["report"])
    return _Stored(tuple(fields["channels"]), report, _END_REPORTED in fields)


def _trouble_first(reports: Iterator[Report] | list[Report]) -> list[Report]:
    kinds = list(ReportKind)
    return sorted(reports, key=lambda report: (kinds.index(report.kind), report.instant, report.id))
