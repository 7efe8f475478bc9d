"""What `status` shows: trouble first, then what is due, then the rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from schemas.errors import PartitionError
from sinks.commands.status_text import status_text
from sinks.reports import PendingReport
from sinks.service.status import DiskStatus, SchedulerStatus, Status, status_of
from sinks.status.exports import ExportStatus
from sinks.status.partitions import PartitionStatus
from tests.shop.offline import OfflineShop, at, with_exports

if TYPE_CHECKING:
    from streams.reading.kafka import Topics

NOW = datetime(2026, 3, 29, 6, 30, tzinfo=UTC)
DUE, NEXT = "2026-03-29T06:00:00+00:00", "2026-03-30T06:00:00+00:00"
WORKS = SchedulerStatus("a", 2, DUE, NEXT)
STORED = PartitionStatus("shop.profile", 0, covered=7, end=7, holes=0)
ROOMY = DiskStatus("/data", free=10**12, batch=10**6)
CALM = ExportStatus("clicks", DUE, (), NEXT, ())


def shown(
    *exports: ExportStatus,
    partitions: tuple[PartitionStatus, ...] = (STORED,),
    scheduler: SchedulerStatus = WORKS,
    all_partitions: bool = False,
    disk: DiskStatus = ROOMY,
    unsent: tuple[PendingReport, ...] = (),
    unasked: str = "",
) -> list[str]:
    status = Status(partitions, exports, scheduler, disk, unsent, unasked)
    return status_text(status, NOW, all_partitions=all_partitions).splitlines()


def test_a_quiet_morning_is_told_in_a_few_lines() -> None:
    assert shown(CALM) == [
        "2026-03-29 06:30 UTC: 1 export, nothing is due",
        "",
        f"clicks  closed {DUE}, next {NEXT}",
        "",
        "all events are stored, of 1 partition",
        "",
        f"scheduler: a works (tenure 2); next close {NEXT}",
    ]


def test_trouble_comes_first_with_what_settles_it() -> None:
    waits = ExportStatus("opened", None, (DUE,), NEXT, ("shop.profile/0 lags by 3",))
    held = ExportStatus("sent", None, (DUE, NEXT), NEXT, (), "held: a hole", "release it", DUE)
    assert shown(CALM, waits, held)[:9] == [
        "2026-03-29 06:30 UTC: 3 exports, 2 due, 1 of them in trouble",
        "",
        f"sent    due since {DUE}, 2 windows; LATE, to be delivered by {DUE}",
        "        held: a hole",
        "        → release it",
        f"opened  due since {DUE}",
        "        waits for workers: shop.profile/0 lags by 3",
        "        → start them with `deltadrop worker`, or look at their logs",
        f"clicks  closed {DUE}, next {NEXT}",
    ]


def test_an_export_that_was_closed_ahead_of_time_is_trouble_though_nothing_is_due() -> None:
    ahead = ExportStatus(
        "sent", NEXT, (), NEXT, (), "closed until tomorrow", "set the clocks right"
    )
    due = ExportStatus("opened", None, (DUE,), NEXT, ())
    assert shown(CALM, ahead)[:5] == [
        "2026-03-29 06:30 UTC: 2 exports, nothing is due, 1 in trouble",
        "",
        f"sent    closed {NEXT}, next {NEXT}",
        "        closed until tomorrow",
        "        → set the clocks right",
    ]
    assert shown(ahead, due)[0] == "2026-03-29 06:30 UTC: 2 exports, 1 due, 1 in trouble"


def test_only_partitions_that_lag_or_have_holes_are_listed_unless_all_are_asked_for() -> None:
    behind = PartitionStatus("shop.row.loans", 1, covered=1_000, end=2_500, holes=1)
    lines = shown(CALM, partitions=(STORED, behind))
    assert lines[4:6] == [
        "1 of 2 partitions not stored: 1,500 offsets",
        "shop.row.loans    1  stored 1,000 of 2,500, lag 1,500, 1 hole",
    ]
    lines = shown(CALM, partitions=(STORED, behind), all_partitions=True)
    assert lines[5] == "shop.profile      0  stored 7 of 7, lag 0"


def test_without_a_scheduler_it_says_how_to_close() -> None:
    due = ExportStatus("sent", None, (DUE,), NEXT, ())
    lines = shown(due, scheduler=SchedulerStatus(None, 0, None, NEXT))
    assert lines[3] == "      → `deltadrop close` closes it"
    assert lines[-1].startswith("→ `deltadrop schedule`")


def test_a_disk_without_a_place_for_a_workers_batch_is_told_before_all_else() -> None:
    waits = ExportStatus("opened", None, (DUE,), NEXT, ("shop.profile/0 lags by 3",))
    assert shown(waits, disk=DiskStatus("/data", free=4_096, batch=10**6))[2:5] == [
        "the disk is full: 4,096 bytes free under /data, a worker's batch has up to 1,000,000",
        "→ free some space, or point `root` to a larger disk; what waits then goes on",
        "",
    ]


def test_reports_that_wait_are_told_with_why() -> None:
    mail, hook = (
        PendingReport("mail", 3, DUE, "smtp:587: can't be used"),
        PendingReport("webhook", 1, DUE, ""),
    )
    assert shown(CALM, unsent=(mail, hook))[-5:] == [
        "",
        f"3 reports to be sent by mail, the oldest of {DUE}",
        "→ smtp:587: can't be used",
        "",
        f"1 report to be sent by webhook, the oldest of {DUE}",
    ]


def test_without_kafka_the_ledger_still_tells(tmp_path: Path) -> None:
    shop = OfflineShop(tmp_path, definitions=with_exports("sent"))
    shop.store_all()
    shop.close("sent", at(6))

    class Away:
        def existing(self, names: object) -> object:
            raise PartitionError("can't be reached", where="Kafka k:9092", hint="see that it is up")

    away = replace(shop.sinks, streams=replace(shop.sinks.streams, kafka=cast("Topics", Away())))

    told = status_of(away.installation, at(7, 28))

    assert told.unasked == "Kafka k:9092: can't be reached; see that it is up"
    assert [one.due for one in told.exports] == [(at(6, 28).isoformat(),)]


def test_that_kafka_is_away_is_told_below_what_the_ledger_knows() -> None:
    assert shown(CALM, partitions=(), unasked="Kafka k:9092: can't be reached")[2:6] == [
        f"clicks  closed {DUE}, next {NEXT}",
        "",
        "how far the workers are isn't known",
        "→ Kafka k:9092: can't be reached",
    ]
