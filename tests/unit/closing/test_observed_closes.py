"""What is told of exports and closes: metrics, health, the textfile, and what log lines carry."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog
from prometheus_client import generate_latest
from typer.testing import CliRunner

import sinks.commands.closes
from deltadrop import app
from deploy.parts.ports import HOST, free_port
from schemas.errors import DeltadropError, HeldError, WaitingError
from schemas.events import Kind
from sinks.closing.observer import CloseStep, observed_attempt, watching
from sinks.closing.running import attempt
from sinks.ledger.lease import Keeper
from sinks.night.metrics import CloseMetrics
from sinks.night.observing import SchedulerWatch, writing_metrics
from sinks.status.exports import standing_of
from streams.serving import served
from tests.shop.observed import Series, health, series, served_series
from tests.shop.offline import DEFINITIONS, OfflineShop, at

STEPS = [step.value for step in CloseStep]


def definitions(schedule: str) -> dict[str, str]:
    """The export of mails sent, on a schedule; and its tables."""
    sent = DEFINITIONS["exports/sent.yaml"].splitlines()
    told = "\n".join(line for line in sent if not line.startswith("schedule:"))
    tables = {name: text for name, text in DEFINITIONS.items() if name.startswith("tables/")}
    return {**tables, "exports/sent.yaml": f"{told}\nschedule: {schedule}\n"}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> OfflineShop:
    """All is stored; nothing was closed."""
    folder = tmp_path_factory.mktemp("stored")
    (folder / "deltadrop.yaml").write_text(
        "root: data\nclose: {delay_seconds: 0, wait_seconds: 0.1}\n"
    )
    schedule = '{at: "06:00", time_zone: Europe/Brussels, deliver_by: "08:00"}'
    shop = OfflineShop(folder, definitions=definitions(schedule))
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    shop.tell(Kind.PROFILE, "CREATED", at(7), profileId=1)
    shop.tell(Kind.EMAIL_ACTIVITY, "SENT", at(8), profileId=1, interactionId=1)
    shop.store_all()
    return shop


@pytest.fixture
def shop(stored: OfflineShop, tmp_path: Path) -> OfflineShop:
    return stored.copied(tmp_path)


def told(shop: OfflineShop, now: dt.datetime, metrics: CloseMetrics | None = None) -> Series:
    metrics = metrics or CloseMetrics(lambda: shop.sinks, lambda: now)
    return series(generate_latest(metrics.registry).decode())


def of(found: Series, name: str) -> dt.datetime | None:
    """A moment that is told of the export."""
    value = found.get(f'deltadrop_export_{name}_timestamp_seconds{{export="sent"}}')
    return None if value is None else dt.datetime.fromtimestamp(value, dt.UTC)


def test_the_oldest_open_window_moves_on_when_it_is_closed(shop: OfflineShop) -> None:
    now = at(6, 29)  # 5:00 UTC before the clock change, 4:00 after it
    before = told(shop, at(3, 28))
    shop.close("sent", at(5, 28))
    between = told(shop, at(3.5, 29))
    overdue = told(shop, now)
    shop.close("sent", at(4, 29))
    after = told(shop, now)

    assert [of(one, "open_since") for one in (before, between, overdue, after)] == [
        at(5, 26),
        at(5, 28),
        at(5, 28),
        at(4, 29),
    ]
    due = 'deltadrop_export_due_windows{export="sent"}'
    assert [one[due] for one in (before, between, overdue, after)] == [1, 0, 1, 0]
    assert of(after, "next_close") == at(4, 30)


def test_until_when_an_export_is_closed_is_told_also_where_that_is_yet_to_come(
    shop: OfflineShop,
) -> None:
    assert of(told(shop, at(3, 28)), "closed_until") is None
    shop.close("sent", at(5, 28))

    assert of(told(shop, at(5, 27)), "closed_until") == at(5, 28)


def test_deliver_by_is_the_hour_after_the_oldest_open_window_also_across_a_clock_change(
    shop: OfflineShop,
) -> None:
    shop.close("sent", at(5, 28))
    before = told(shop, at(3, 29))
    shop.close("sent", at(4, 29))
    after = told(shop, at(4, 29))

    # On the 29th the clock was put forward at 1:00 UTC: 8:00 in Brussels is an hour earlier.
    assert (of(before, "deliver_by"), of(after, "deliver_by")) == (at(6, 29), at(6, 30))


def test_an_export_without_such_an_hour_has_no_deliver_by(tmp_path: Path) -> None:
    shop = OfflineShop(tmp_path, definitions=definitions('{at: "06:00", time_zone: UTC}'))
    found = told(shop, at(7, 28))

    assert of(found, "deliver_by") is None
    assert of(found, "open_since") is not None


def test_a_drop_is_told_with_its_rows_and_when_it_was_delivered(shop: OfflineShop) -> None:
    assert of(told(shop, at(4, 29)), "last_success") is None

    outcome = shop.close("sent", at(5, 28))
    found = told(shop, at(4, 29))

    assert of(found, "last_success") == dt.datetime.fromisoformat(outcome.finished_at)
    assert found['deltadrop_export_last_drop_rows{export="sent"}'] == outcome.rows == 1
    assert found['deltadrop_export_last_drop_bytes{export="sent"}'] == outcome.size
    assert found['deltadrop_export_last_drop_dead_letters{export="sent"}'] == 0


def test_each_step_of_a_close_is_timed(shop: OfflineShop) -> None:
    metrics = CloseMetrics(lambda: shop.sinks, lambda: at(6, 28))
    with watching(metrics):
        attempt(shop.sinks.closer, shop.sinks.exports[0], at(5, 28), lambda lags: None)
    found = told(shop, at(6, 28), metrics)

    seconds = [
        found[f'deltadrop_close_step_duration_seconds{{export="sent",step="{step}"}}']
        for step in STEPS
    ]
    assert len(seconds) == 5
    assert all(one > 0 for one in seconds)
    assert found['deltadrop_close_attempts_total{export="sent",result="delivered"}'] == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (WaitingError("behind"), "waiting"),
        (HeldError("a hole"), "held"),
        (DeltadropError("full"), "failed"),
    ],
)
def test_trouble_is_told_until_the_window_is_closed(
    shop: OfflineShop, error: DeltadropError, kind: str
) -> None:
    metrics = CloseMetrics(lambda: shop.sinks, lambda: at(6, 28))
    with watching(metrics), pytest.raises(type(error)), observed_attempt("sent", at(5, 28)):
        raise error
    troubled = told(shop, at(6, 28), metrics)
    shop.close("sent", at(5, 28))  # by another process
    settled = told(shop, at(6, 28), metrics)

    def trouble(found: Series) -> list[str]:
        kinds = ("waiting", "held", "failed")
        name = 'deltadrop_export_trouble{{export="sent",kind="{}"}}'
        return [one for one in kinds if found[name.format(one)]]

    assert (trouble(troubled), trouble(settled)) == ([kind], [])
    assert troubled[f'deltadrop_close_attempts_total{{export="sent",result="{kind}"}}'] == 1


def test_where_the_ledger_cannot_be_read_the_alarms_do_not_fall_silent(
    shop: OfflineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = CloseMetrics(lambda: shop.sinks, lambda: at(6, 28))
    before = told(shop, at(6, 28), metrics)

    def broken(*arguments: object) -> None:
        raise OSError("stale file handle")

    monkeypatch.setattr("sinks.night.metrics.standing_of", broken)

    assert told(shop, at(6, 28), metrics) == before
    assert of(before, "deliver_by") == at(7, 28)


def test_a_close_that_was_begun_leaves_its_window_open(shop: OfflineShop) -> None:
    sinks = shop.sinks
    shop.begin(sinks.exports[0].name, at(5, 28))

    standing = standing_of(sinks.exports[0], sinks.ledger, at(6, 28))

    assert (standing.open_since, standing.open_until, standing.due) == (at(5, 27), at(5, 28), 1)


def test_what_a_close_logs_has_its_export_its_instant_and_its_offsets(shop: OfflineShop) -> None:
    lines: list[dict[str, Any]] = []

    def keep(_: object, __: str, line: Any) -> str:
        lines.append(line)
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, keep],
        cache_logger_on_first_use=False,
    )
    try:
        attempt(shop.sinks.closer, shop.sinks.exports[0], at(5, 28), lambda lags: None)
    finally:
        structlog.configure(**before)

    [closed] = [line for line in lines if line["event"] == "closed"]
    assert (closed["export"], closed["instant"]) == ("sent", at(5, 28).isoformat())
    assert json.loads(json.dumps(closed["offsets"])) == {
        "deltadrop.shop.email-activity": {"0": [0, 1]}
    }
    assert structlog.contextvars.get_contextvars() == {}


# The scheduler's health


class Night:
    """The lease, the clocks, and how the scheduler passes its time."""

    held = True
    requested = False
    seconds = 0.0

    def wait(self, seconds: float) -> None:
        self.seconds += seconds

    def now(self) -> dt.datetime:
        return at(6, 29) + dt.timedelta(seconds=self.seconds)


@pytest.fixture
def night() -> Night:
    return Night()


@pytest.fixture
def watch(shop: OfflineShop, night: Night) -> SchedulerWatch:
    return SchedulerWatch(
        lambda: shop.sinks, cast("Keeper", night), night, night.now, lambda: night.seconds
    )


@pytest.fixture
def port(watch: SchedulerWatch) -> Iterator[int]:
    port = free_port()
    with served(watch, HOST, port, "observe.schedule_port"):
        yield port


def test_a_scheduler_with_the_lease_is_ready_after_its_first_pass(
    port: int, watch: SchedulerWatch
) -> None:
    before = health(port, "ready")
    watch.wait(30)

    assert before == (503, {"ok": False, "scheduler": "works", "last_pass": None})
    assert health(port, "ready")[0] == 200
    found = served_series(port)
    assert found["deltadrop_scheduler_lease_held"] == 1
    assert found["deltadrop_scheduler_last_pass_timestamp_seconds"] == at(6, 29).timestamp()


def test_a_scheduler_that_stands_by_is_ready(
    port: int, watch: SchedulerWatch, night: Night
) -> None:
    night.held = False
    watch.wait(1)

    assert health(port, "ready") == (
        200,
        {"ok": True, "scheduler": "stands by", "last_pass": None},
    )
    assert served_series(port)["deltadrop_scheduler_lease_held"] == 0


def test_a_scheduler_is_live_while_its_loop_turns_or_a_close_goes_on(
    port: int, watch: SchedulerWatch, night: Night
) -> None:
    watch.wait(3500)
    watch.took("sent", CloseStep.RENDER, 3500.0)
    night.seconds += 3500
    assert health(port, "live")[0] == 200
    night.seconds += 200
    assert health(port, "live") == (503, {"ok": False, "seconds_since_turn": 3700.0})
    assert health(port, "ready")[0] == 503


# The file for node_exporter


@pytest.fixture
def textfile(tmp_path: Path) -> Path:
    return tmp_path / "deltadrop.prom"


def written(file: Path) -> Series:
    return series(file.read_text())


def test_close_writes_its_metrics_to_the_file(
    shop: OfflineShop, textfile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks.commands.closes, "Sinks", SimpleNamespace(of=shop.sinks_of))
    monkeypatch.setenv("DELTADROP_OBSERVE__TEXTFILE", str(textfile))

    ended = CliRunner().invoke(app, ["close", "--config", str(shop.folder / "deltadrop.yaml")])
    found = written(textfile)

    assert ended.exit_code == 0, ended.output
    assert found['deltadrop_close_attempts_total{export="sent",result="delivered"}'] == 1
    assert found['deltadrop_export_due_windows{export="sent"}'] == 0
    assert found["deltadrop_close_last_run_timestamp_seconds"] > at(6, 29).timestamp()


def test_a_run_that_closes_nothing_keeps_what_the_file_told_of_closes(
    shop: OfflineShop, textfile: Path
) -> None:
    sinks, export = shop.sinks, shop.sinks.exports[0]
    with writing_metrics(sinks, textfile, lambda: at(6, 28)):
        attempt(sinks.closer, export, at(5, 28), lambda lags: None)
    first = written(textfile)
    with writing_metrics(sinks, textfile, lambda: at(6.1, 28)):
        pass
    second = written(textfile)

    ran = "deltadrop_close_last_run_timestamp_seconds"
    assert (first[ran], second[ran]) == (at(6, 28).timestamp(), at(6.1, 28).timestamp())
    assert {**second, ran: 0} == {**first, ran: 0}


def test_trouble_of_an_earlier_run_stays_in_the_file_until_the_window_is_closed(
    shop: OfflineShop, textfile: Path
) -> None:
    held = 'deltadrop_export_trouble{export="sent",kind="held"}'

    def hold() -> None:
        with observed_attempt("sent", at(5, 28)):
            raise HeldError("a hole")

    with writing_metrics(shop.sinks, textfile, lambda: at(6, 28)), pytest.raises(HeldError):
        hold()
    with writing_metrics(shop.sinks, textfile, lambda: at(6, 28)):
        pass
    still = written(textfile)[held]
    shop.close("sent", at(5, 28))
    with writing_metrics(shop.sinks, textfile, lambda: at(6, 28)):
        pass

    assert (still, written(textfile)[held]) == (1, 0)


@pytest.mark.parametrize("before", ["# nothing {{{ of use\n", "a_metric 1\n", ""])
def test_whatever_the_file_held_before_it_is_written_anew(
    shop: OfflineShop, textfile: Path, before: str
) -> None:
    textfile.write_text(before)
    with writing_metrics(shop.sinks, textfile, lambda: at(6, 28)):
        pass

    assert "a_metric" not in textfile.read_text()
    assert written(textfile)['deltadrop_export_due_windows{export="sent"}'] == 1


def test_a_file_that_cannot_be_written_fails_no_close(shop: OfflineShop, tmp_path: Path) -> None:
    with writing_metrics(shop.sinks, tmp_path / "none" / "deltadrop.prom", lambda: at(6, 28)):
        shop.close("sent", at(5, 28))

    assert (shop.transferbox / "sent" / "sent_20260328_0600.csv.gz").exists()


def test_a_run_that_failed_as_a_whole_does_not_say_that_it_ran(
    shop: OfflineShop, textfile: Path
) -> None:
    with pytest.raises(DeltadropError), writing_metrics(shop.sinks, textfile):
        raise DeltadropError("Kafka can't be reached")

    assert not textfile.exists()
