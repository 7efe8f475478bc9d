"""A drop that was made again and that a partner doesn't take is told to whoever has to know."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
import typer

from schemas.errors import CloseError
from schemas.events import Kind as EventKind
from sinks.commands import closes
from sinks.commands import erase as erase_command
from sinks.commands.status_text import status_text
from sinks.night.reload import Installed
from sinks.night.scheduler import Scheduler
from sinks.reports import Outbox, Report, Reporter, ReportKind, channels_of
from sinks.reports.text import plain, subject
from sinks.service.status import status_of
from sinks.service.under_way import ClosesUnderWay
from sinks.setup import Sinks
from tests.shop.offline import OfflineShop, at, with_exports
from tests.shop.partner import PARTNER, delivering, opened_again
from tests.shop.planted import delete

if TYPE_CHECKING:
    from sinks.ledger.lease import Keeper

CLOSED, STAMP = at(6, 28), "20260328T060000.000Z"
DROP = f"profiles@{STAMP}"
REVISION = "profiles_20260328_0600-r1.csv"
WAITS = f"{DROP} was made again as -r1, and isn't delivered to {PARTNER} yet"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OfflineShop:
    """Two profiles were delivered, one was deleted since, and the partner takes nothing now."""
    definitions = with_exports("profiles")
    definitions["exports/profiles.yaml"] += "recipients: [a@shop.example]\n"
    (tmp_path / "deltadrop.yaml").write_text(
        "root: data\nclose: {wait_seconds: 0.1, delay_seconds: 0}\n"
        "mail: {host: 127.0.0.1, port: 1}\n"
    )
    shop = OfflineShop(tmp_path, definitions=definitions)
    for number in (1, 2):
        shop.tell(EventKind.PROFILE, "CREATED", at(7), profileId=number)
    shop.store_all()
    delivering(shop, tmp_path / PARTNER).close("profiles", CLOSED)
    delete(shop, 1, 31)
    shop.store_all()
    away = delivering(shop, tmp_path / PARTNER, refusals=10_000)
    Outbox(away.sinks.ledger.store, []).since(at(6))
    monkeypatch.setattr(Sinks, "of", lambda settings: away.sinks)
    return away


@pytest.fixture
def erased(shop: OfflineShop) -> OfflineShop:
    """An erase pass made the drop again."""
    shop.sinks.eraser.run()
    return shop


def left_with(run: Callable[[], None]) -> int:
    """Run a command; its exit code."""
    try:
        run()
    except typer.Exit as left:
        return left.exit_code
    return 0


def close(shop: OfflineShop, instant: datetime = CLOSED) -> int:
    """Close a window; that of `CLOSED` is closed already."""
    config = shop.folder / "deltadrop.yaml"
    return left_with(lambda: closes.close(["profiles"], at=instant.isoformat(), config=config))


def failed(shop: OfflineShop) -> list[Report]:
    outbox = Outbox(shop.sinks.ledger.store, channels_of(shop.settings))
    return [one for one in outbox.pending() if one.kind is ReportKind.FAILED]


def test_an_erase_says_that_it_was_made_again_and_is_not_delivered(
    shop: OfflineShop, capsys: pytest.CaptureFixture[str]
) -> None:
    config = shop.folder / "deltadrop.yaml"
    for _ in range(2):
        assert left_with(lambda: erase_command.erase(config=config)) == 3

        told = capsys.readouterr().out
        assert "drops made again: 1\n" in told
        assert f"  {DROP}: {REVISION}, not delivered to {PARTNER} yet\n" in told
        assert f"NOT DONE: {WAITS}: {PARTNER}: closed for lunch\n" in told
        assert told.count("NOT DONE") == 1

    opened_again(shop)
    assert left_with(lambda: erase_command.erase(config=config)) == 0
    assert f"  {DROP}: {REVISION}\n" in capsys.readouterr().out


def test_status_tells_it_as_trouble_with_the_command_that_settles_it(erased: OfflineShop) -> None:
    (told,) = status_of(erased.sinks.installation, at(7, 28)).exports

    (one,) = told.unsettled
    assert (one.drop, one.revision, one.what) == (DROP, 1, WAITS)
    assert one.hint == (
        f"`deltadrop sweep` finishes it; what keeps it, says `deltadrop check-location {PARTNER}`"
    )
    status = status_of(erased.sinks.installation, at(7, 28))
    assert "unsettled" in str(status.to_json())
    lines = status_text(status, at(7, 28)).splitlines()
    assert lines[0].endswith("1 export, nothing is due, 1 in trouble")
    assert [line.strip() for line in lines[3:5]] == [one.what, f"→ {one.hint}"]

    opened_again(erased)
    erased.sinks.sweeper.sweep()
    (told,) = status_of(erased.sinks.installation, at(7, 28)).exports
    assert told.unsettled == ()


def test_a_close_fails_that_cant_finish_it_and_reports_it_once(erased: OfflineShop) -> None:
    assert [close(erased), close(erased)] == [1, 1]

    (told,) = failed(erased)
    assert (told.drop, told.revision) == (DROP, 1)
    assert (told.problem, told.recipients) == (f"{PARTNER}: closed for lunch", ("a@shop.example",))
    assert subject(told).startswith("deltadrop: FAILED: profiles -r1, window until ")
    assert "-r1: made again, and not delivered everywhere yet" in plain(told)
    assert f"{WAITS}: {told.problem}" in str(
        status_of(erased.sinks.installation, at(7, 28)).to_json()
    )

    opened_again(erased)
    assert close(erased) == 0


def test_that_it_cant_be_delivered_counts_more_than_that_another_is_held(
    erased: OfflineShop,
) -> None:
    erased.tell(EventKind.PROFILE, "CREATED", at(33), profileId=3)

    assert close(erased, at(6, 29)) == 1

    opened_again(erased)
    assert close(erased, at(6, 29)) == 3


class Night:
    """A scheduler's night, on the 29th at five: nothing is due."""

    requested, held = False, True

    def wait(self, seconds: float) -> None:
        pass


def test_a_scheduler_that_cant_finish_it_reports_it(erased: OfflineShop) -> None:
    now = partial(at, 5, 29)
    reporter = Reporter(erased.sinks.ledger, channels_of(erased.settings), now)
    installed, night = Installed(lambda: erased.sinks, ()), Night()
    scheduler = Scheduler(
        erased.settings, installed, cast("Keeper", night), night, reporter, now, ClosesUnderWay(60)
    )

    scheduler.round()

    assert [(one.drop, one.revision) for one in failed(erased)] == [(DROP, 1)]


def test_trouble_of_another_nature_is_told_again(erased: OfflineShop) -> None:
    reporter = Reporter(erased.sinks.ledger, channels_of(erased.settings))
    for why in ("closed for 2 h", "closed for 3 h", "moved"):
        error = CloseError(why, where=PARTNER)
        reporter.revision_failed(erased.sinks.exports, "profiles", CLOSED, error)

    assert sorted(one.problem for one in failed(erased)) == [
        f"{PARTNER}: closed for 2 h",
        f"{PARTNER}: moved",
    ]


def test_what_is_not_a_revision_is_not_told_as_one(erased: OfflineShop) -> None:
    reporter = Reporter(erased.sinks.ledger, channels_of(erased.settings))

    reporter.revision_failed((), "profiles", at(6, 29), CloseError("moved", where=PARTNER))

    assert failed(erased) == []


def test_a_close_whose_ledger_can_t_be_read_keeps_no_other_drop_from_an_erase_pass(
    tmp_path: Path,
) -> None:
    definitions = with_exports("profiles")
    another = definitions["exports/profiles.yaml"].replace("export: profiles", "export: a-broken")
    shop = OfflineShop(tmp_path, definitions={**definitions, "exports/a-broken.yaml": another})
    shop.tell(EventKind.PROFILE, "CREATED", at(7), profileId=1)
    shop.store_all()
    for export in ("a-broken", "profiles"):
        shop.close(export, CLOSED)
    delete(shop, 1, 31)
    shop.store_all()
    broken = shop.root / f"ledger/exports/a-broken/{STAMP}/outcome.json"
    broken.write_text("{")

    report = shop.sinks.eraser.run()

    assert [one.drop for one in report.drops] == [DROP]
    assert any(f"a-broken@{STAMP} may hold" in told for told in report.left)
