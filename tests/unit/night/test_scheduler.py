"""The scheduler's rules, over an installation without servers and with a driven clock."""

from __future__ import annotations

import dataclasses
import datetime as dt
import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from schemas.errors import CloseError, DeltadropError, HeldError
from schemas.events import Kind
from schemas.settings.settings import ScheduleSettings
from sinks.exports.export import Export
from sinks.ledger.lease import Keeper, Lease
from sinks.ledger.outcome import CloseOutcome
from sinks.night.reload import Installed
from sinks.night.retries import Retries
from sinks.night.scheduler import Scheduler
from sinks.reports import Reporter
from sinks.service.status import status_of
from sinks.service.under_way import ClosesUnderWay
from tests.shop.offline import OfflineShop, at, with_exports

SETTINGS = """root: data
close: {delay_seconds: 30, wait_seconds: 0.1}
schedule: {retry_seconds: 10, retry_limit_seconds: 60}
"""


class Night:
    """The clock, what is asked of the scheduler, and what it told."""

    def __init__(self, now: dt.datetime) -> None:
        self.time = now
        self.requested = False
        self.told: list[tuple[str, str, dt.datetime]] = []
        self.asked_for_revisions: list[list[str]] = []

    def now(self) -> dt.datetime:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += dt.timedelta(seconds=seconds)

    def settle(self, exports: Iterable[Export]) -> None:
        pass

    def delivered(self, export: Export, instant: dt.datetime, outcome: CloseOutcome) -> None:
        self.told.append(("delivered", export.name, instant))

    def troubled(self, export: Export, instant: dt.datetime, error: DeltadropError) -> None:
        self.told.append((type(error).__name__, export.name, instant))

    def late(self, export: Export, instants: Sequence[dt.datetime]) -> None:
        pass

    def revised(self, exports: Iterable[Export]) -> None:
        self.asked_for_revisions.append([export.name for export in exports])

    def revision_failed(
        self, exports: Iterable[Export], export: str, instant: dt.datetime, error: DeltadropError
    ) -> None:
        pass

    def ended(self, exports: Iterable[Export]) -> None:
        pass

    def send(self) -> None:
        pass

    def of(self, what: str) -> list[tuple[str, dt.datetime]]:
        return [(export, instant) for told, export, instant in self.told if told == what]


@dataclasses.dataclass
class Rig:
    shop: OfflineShop
    night: Night
    scheduler: Scheduler
    keeper: Keeper

    def work(self, until: dt.datetime) -> None:
        """Let rounds follow each other up to a moment."""
        while self.night.time < until:
            self.night.wait(self.scheduler.round())


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> OfflineShop:
    """All is stored and closed until the 28th, 6:00."""
    folder = tmp_path_factory.mktemp("before")
    (folder / "deltadrop.yaml").write_text(SETTINGS)
    shop = OfflineShop(folder, definitions=with_exports("profiles", "sent", "stores"))
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    shop.tell(Kind.PROFILE, "CREATED", at(7), profileId=1)
    shop.tell(Kind.EMAIL_ACTIVITY, "SENT", at(8), profileId=1, interactionId=1)
    shop.store_all()
    shop.close_all(at(6, 28))
    return shop


def copied(before: OfflineShop, folder: Path, **changed: str) -> OfflineShop:
    """The shop in another folder. changed: text that is added to its files."""
    shop = before.copied(folder)
    for name, text in changed.items():
        with (folder / name).open("a") as file:
            file.write(text)
    return shop.again()


@pytest.fixture
def rig(before: OfflineShop, tmp_path: Path) -> Rig:
    return rig_of(copied(before, tmp_path))


def rig_of(shop: OfflineShop, patience_seconds: float = 60) -> Rig:
    """It is 5:00 on the 29th, and the lease is ours."""
    night = Night(at(5, 29))
    lease = Lease(shop.sinks.ledger.store, "schedule", holder="a", seconds=1e9, now=night.now)
    keeper = Keeper(lease, night.now)
    keeper._try()
    installed = Installed(
        lambda: shop.sinks_of(shop.settings), (shop.settings.exports, shop.settings.tables)
    )
    lanes = ClosesUnderWay(patience_seconds)
    scheduler = Scheduler(shop.settings, installed, keeper, night, night, night.now, lanes)
    return Rig(shop, night, scheduler, keeper)


def names(rig: Rig) -> list[str]:
    return [export.name for export in rig.shop.sinks.exports]


def test_each_export_closes_when_its_hour_has_passed_and_the_cut_can_be_taken(rig: Rig) -> None:
    rig.work(at(6, 29) + dt.timedelta(seconds=29))
    assert rig.night.told == []

    rig.work(at(6, 29) + dt.timedelta(seconds=32))

    assert rig.night.of("delivered") == [(name, at(6, 29)) for name in names(rig)]


def test_missed_windows_come_first_and_in_order(rig: Rig) -> None:
    rig.night.time = at(5, 31)

    rig.scheduler.round()

    assert rig.night.of("delivered") == [
        (name, instant) for instant in (at(6, 29), at(6, 30)) for name in names(rig)
    ]


def test_a_stuck_export_does_not_block_the_others_and_is_tried_again(rig: Rig) -> None:
    in_the_way = rig.shop.transferbox / "sent" / "sent_20260329_0600.csv.gz"
    in_the_way.write_bytes(b"another's")
    rig.night.time = at(5, 31)

    rig.scheduler.round()

    assert rig.night.of("CloseError") == [("sent", at(6, 29))]  # its next waits for it
    assert len(rig.night.of("delivered")) == 2 * (len(names(rig)) - 1)

    in_the_way.unlink()
    rig.work(rig.night.time + dt.timedelta(seconds=15))
    assert rig.night.of("delivered")[-2:] == [("sent", at(6, 29)), ("sent", at(6, 30))]


def test_a_partners_server_that_hangs_keeps_nobody_waiting(
    before: OfflineShop, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        partner = f"""locations:
  partner: {{kind: sftp, host: 127.0.0.1, port: {silent.getsockname()[1]}, username: us,
    password_env: PATH, fingerprint: "SHA256:{"A" * 43}", timeout_seconds: 60, attempts: 1}}
"""
        changed = {"deltadrop.yaml": partner, "exports/sent.yaml": "deliver: [partner]\n"}
        rig = rig_of(copied(before, tmp_path, **changed), patience_seconds=0.5)
        others = [name for name in names(rig) if name != "sent"]
        rig.night.time = at(5, 31)

        rig.scheduler.round()

        assert rig.night.told == [
            ("delivered", name, instant) for instant in (at(6, 29), at(6, 30)) for name in others
        ]
        rig.scheduler.round()
        assert len(rig.night.told) == 4  # nor is the same window begun again
    rig.scheduler._under_way.join()
    assert rig.night.told[4:] == [("PassingError", "sent", at(6, 29))]


def test_what_fails_is_tried_again_later_each_time_up_to_a_limit() -> None:
    retries = Retries(ScheduleSettings(retry_seconds=10, retry_limit_seconds=60))
    now, pauses = at(6), []
    for _ in range(5):
        again = retries.failed("sent", now)
        assert not retries.is_due("sent", again - dt.timedelta(seconds=1))
        assert retries.is_due("sent", again)
        assert retries.is_due("clicks", now)
        pauses.append((again - now).total_seconds())
        now = again

    assert pauses == [10, 20, 40, 60, 60]


def test_a_retry_is_due_when_a_clock_that_was_ahead_is_set_right() -> None:
    retries = Retries(ScheduleSettings(retry_seconds=10, retry_limit_seconds=60))
    retries.failed("sent", at(6, 30))

    assert retries.is_due("sent", at(6, 28)), "not in two days"

    retries.waits("sent", at(6, 28))
    assert retries.waited("sent", at(6, 28) + dt.timedelta(seconds=5)) == 5


def test_a_definition_that_links_to_itself_is_told_and_ends_no_scheduler(rig: Rig) -> None:
    loop = rig.shop.folder / "exports" / "loop.yaml"
    loop.symlink_to(loop)

    with capture_logs() as logged:
        rig.work(at(5.1, 29))

    refused = [line["error"] for line in logged if line["event"].startswith("definitions refused")]
    assert refused == [f"{loop}: is a link to what isn't there; remove it, or mend it"]


def test_a_close_of_a_window_that_is_yet_to_end_is_told_as_trouble(rig: Rig) -> None:
    """As a clock that was ahead for a minute leaves it."""
    rig.shop.close("sent", at(6, 30))

    status = status_of(rig.shop.sinks.installation, at(7, 29))
    sent = next(one for one in status.exports if one.export == "sent")

    assert (sent.due, sent.trouble) == (
        (),
        "closed until 2026-03-30T06:00:00+00:00, which is yet to come: a clock was ahead, or is"
        " behind",
    )
    assert "set the clocks of the machines right" in sent.hint
    later = status_of(rig.shop.sinks.installation, at(6, 30))
    assert [one.trouble for one in later.exports if one.export == "sent"] == [""]


def test_workers_that_are_behind_are_waited_for_before_a_close_counts_as_held(rig: Rig) -> None:
    rig.scheduler._settings = rig.shop.settings.model_copy(
        update={"close": rig.shop.settings.close.model_copy(update={"wait_seconds": 60})}
    )
    rig.shop.tell(Kind.EMAIL_ACTIVITY, "SENT", at(5, 29), profileId=1, interactionId=2)
    behind = {"sent"}  # its topic isn't stored

    rig.work(at(6, 29) + dt.timedelta(seconds=80))
    assert rig.night.of("WaitingError") == []
    assert {name for name, _ in rig.night.of("delivered")} == set(names(rig)) - behind

    rig.work(at(6, 29) + dt.timedelta(seconds=110))
    assert {name for name, _ in rig.night.of("WaitingError")} == behind

    rig.shop.store_all()
    rig.work(at(6, 29) + dt.timedelta(seconds=200))
    assert {name for name, _ in rig.night.of("delivered")} == set(names(rig))


def test_revisions_are_told_after_each_look_for_half_steps(rig: Rig) -> None:
    rig.work(at(5, 29) + dt.timedelta(minutes=31))

    assert rig.night.asked_for_revisions == [names(rig)] * 3


def test_without_the_lease_nothing_is_closed(rig: Rig) -> None:
    rig.night.time = at(7, 29)
    rig.keeper._grant = None

    rig.scheduler.round()

    assert rig.night.told == []


def test_asked_to_leave_it_does_not_begin_another_close(rig: Rig) -> None:
    rig.night.time = at(7, 29)
    told: Callable[..., None] = rig.night.delivered

    def leave(export: Export, instant: dt.datetime, outcome: CloseOutcome) -> None:
        told(export, instant, outcome)
        rig.night.requested = True

    rig.night.delivered = leave  # type: ignore[method-assign]
    rig.scheduler.run()

    assert len(rig.night.told) == 1


def test_a_changed_definition_applies_from_the_next_close(rig: Rig) -> None:
    file = rig.shop.settings.exports / "profiles.yaml"
    file.write_text(file.read_text() + "columns: [profileId]\n")

    rig.work(at(6, 29) + dt.timedelta(seconds=32))

    drop = rig.shop.transferbox / "profiles" / "profiles_20260329_0600.csv"
    assert drop.read_text() == "profileId\n"


def test_a_definition_that_is_refused_leaves_the_former_ones(rig: Rig) -> None:
    file = rig.shop.settings.exports / "profiles.yaml"
    file.write_text(file.read_text().replace("event: ", "event: NO_"))

    rig.work(at(6, 29) + dt.timedelta(seconds=32))

    assert len(rig.night.of("delivered")) == len(names(rig))


def test_an_export_that_was_closed_by_hand_is_not_tried_again(rig: Rig) -> None:
    in_the_way = rig.shop.transferbox / "sent" / "sent_20260329_0600.csv.gz"
    in_the_way.write_bytes(b"another's")
    rig.work(at(6, 29) + dt.timedelta(seconds=32))
    in_the_way.unlink()
    rig.shop.close("sent", at(6, 29))
    before = len(rig.night.told)

    rig.work(at(6, 29) + dt.timedelta(seconds=90))

    assert rig.night.told[before:] == []
    assert rig.scheduler.round() > 1  # nor is it looked for again and again


def test_status_tells_who_works_and_when_the_next_close_is(rig: Rig) -> None:
    store = rig.shop.sinks.ledger.store
    Lease(store, "schedule", holder="a", seconds=60, now=rig.night.now).take()  # a usual length

    told = status_of(rig.shop.sinks.installation, rig.night.now()).scheduler

    assert (told.holder, told.fence) == ("a", 1)
    assert told.next_close == at(6, 29).isoformat()
    assert str(told) == "scheduler: a works (tenure 1); next close 2026-03-29T06:00:00+00:00"


def test_status_tells_that_no_scheduler_works(rig: Rig) -> None:
    rig.keeper._lease.release()

    told = status_of(rig.shop.sinks.installation, rig.night.now()).scheduler

    assert told.holder is None
    assert str(told).startswith("scheduler: none works")


def test_status_tells_what_keeps_an_export_from_closing_and_what_settles_it(rig: Rig) -> None:
    shop, reporter = rig.shop, Reporter(rig.shop.sinks.ledger, [], rig.night.now)
    sent = next(export for export in shop.sinks.exports if export.name == "sent")
    rig.night.time = at(7, 29)

    def trouble() -> tuple[str, str]:
        exports = status_of(shop.sinks.installation, rig.night.time).exports
        return next((one.trouble, one.hint) for one in exports if one.export == "sent")

    reporter.troubled(sent, at(6, 29), CloseError("no such folder", where="partner", hint="-"))
    rig.night.time = at(7.5, 29)
    hole = HeldError("offsets 5 to 7 are lost", where="shop.sms/0", hint="release it")
    reporter.troubled(sent, at(6, 29), hole)
    assert trouble() == ("held: shop.sms/0: offsets 5 to 7 are lost", "release it")

    shop.close("sent", at(6, 29))
    assert trouble() == ("", "")
