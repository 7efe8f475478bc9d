"""The command `close` tells what came of it; Kafka's place is taken by a log in memory."""

import datetime as dt
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from schemas.errors import WaitingError
from schemas.events import Kind as EventKind
from sinks.closing import running
from sinks.closing.close import Closer
from sinks.closing.deliveries import Deliveries, Delivery
from sinks.commands import closes
from sinks.ledger.due import Due
from sinks.reports import Outbox, Report, ReportKind, channels_of
from sinks.service import closes as service_closes
from sinks.service import due_windows
from sinks.setup import Sinks
from tests.shop.offline import OfflineShop, at, with_exports


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OfflineShop:
    """One export, never closed; its mail server is down."""
    definitions = with_exports("profiles")
    definitions["exports/profiles.yaml"] += "recipients: [a@shop.example]\n"
    (tmp_path / "deltadrop.yaml").write_text(
        "root: data\nclose: {wait_seconds: 0.1, delay_seconds: 0}\n"
        "mail: {host: 127.0.0.1, port: 1}\n"
    )
    shop = OfflineShop(tmp_path, definitions=definitions)
    shop.tell(EventKind.PROFILE, "CREATED", at(7), profileId=1)
    monkeypatch.setattr(Sinks, "of", shop.sinks_of)
    return shop


@pytest.fixture
def close(shop: OfflineShop) -> Callable[..., int]:
    """Run the command; its exit code."""

    def run(*exports: str, at: str | None = None, initial: bool = False) -> int:
        config = shop.folder / "deltadrop.yaml"
        try:
            closes.close(list(exports), at=at, initial=initial, config=config)
        except typer.Exit as left:
            return left.exit_code
        return 0

    return run


def told(shop: OfflineShop) -> list[Report]:
    return Outbox(shop.sinks.ledger.store, channels_of(shop.settings)).pending()


def test_a_drop_is_told_also_where_the_mail_server_is_down(
    shop: OfflineShop, close: Callable[..., int]
) -> None:
    shop.store_all()

    assert close() == 0

    assert [one.kind for one in told(shop)] == [ReportKind.DELIVERED]


def test_what_is_held_is_told_and_then_what_came_of_it(
    shop: OfflineShop, close: Callable[..., int]
) -> None:
    assert close() == 3
    assert close() == 3
    assert [one.kind for one in told(shop)] == [ReportKind.HELD]

    shop.store_all()
    assert close() == 0
    held, settled, delivered = told(shop)
    assert [held.kind, settled.kind, delivered.kind] == ["held", "settled", "delivered"]
    assert settled.settles == held.id


def test_what_is_wrong_with_an_instant_chosen_by_hand_is_told_to_who_chose_it(
    shop: OfflineShop, close: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    shop.store_all()
    assert close("profiles", at=at(6, 28).isoformat()) == 0

    assert close("profiles", at=at(6, 27).isoformat()) == 2

    assert capsys.readouterr().err == (
        "profiles at 2026-03-27T06:00:00+00:00: export 'profiles': 20260327T060000.000Z is before "
        "this export's last cut, 20260328T060000.000Z; "
        "windows are closed in order; choose an instant after its last cut\n"
    )
    assert [one.kind for one in told(shop)] == [ReportKind.DELIVERED]


def test_a_partner_that_hangs_keeps_no_other_export_waiting(
    shop: OfflineShop, close: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drop of `others` is there before the first delivery has ended."""
    text = (shop.folder / "exports" / "profiles.yaml").read_text()
    other = shop.folder / "exports" / "zz-others.yaml"
    other.write_text(text.replace("export: profiles", "export: zz-others"))
    shop.store_all()
    deliver = Deliveries._deliver
    seen: list[bool] = []

    def hanging(self: Deliveries, delivery: Delivery, *more: Any) -> object:
        if delivery.drop.export == "profiles":
            until = time.monotonic() + 60
            while not (shop.transferbox / "zz-others").exists() and time.monotonic() < until:
                time.sleep(0.05)
            seen.append((shop.transferbox / "zz-others").exists())
        return deliver(self, delivery, *more)

    monkeypatch.setattr(Deliveries, "_deliver", hanging)
    monkeypatch.setattr(Sinks, "of", shop.again().sinks_of)

    assert close() == 0

    assert seen == [True]


def test_whoever_closes_is_told_that_recipients_get_no_mail(
    shop: OfflineShop, close: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    file = shop.folder / "deltadrop.yaml"
    file.write_text("root: data\nclose: {delay_seconds: 0}\n")
    shop.store_all()

    assert close() == 0

    assert capsys.readouterr().err == (
        f"warning: {file}: field 'mail.host': is missing, so the recipients of 'profiles' get no "
        "mail; set it, or remove their recipients\n"
    )


def test_an_initial_drop_of_an_export_that_was_closed_is_wrong_input_and_told_to_who_asked(
    shop: OfflineShop, close: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    shop.store_all()
    assert close("profiles", at=at(6, 28).isoformat()) == 0

    assert close("profiles", initial=True) == 2

    assert capsys.readouterr().err.partition(": ")[2] == (
        "export 'profiles': an initial drop is an export's first; it was closed at "
        "20260328T060000.000Z; close it without --initial, or define an export of another name\n"
    )
    assert [one.kind for one in told(shop)] == [ReportKind.DELIVERED]


def test_a_file_name_that_another_window_has_is_wrong_input(
    shop: OfflineShop, close: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    shop.store_all()
    assert close("profiles", at="2026-03-28T06:00:00Z") == 0

    assert close("profiles", at="2026-03-28T06:00:30Z") == 2

    assert capsys.readouterr().err.partition(": ")[2] == (
        "export 'profiles': the file name profiles_20260328_0600.csv is taken by another window, "
        "20260328T060000.000Z; "
        "give the suffix a time, as _yyyyMMdd_HHmmss, for several windows a day\n"
    )


def test_what_waits_for_workers_keeps_no_other_export_waiting(
    shop: OfflineShop, close: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop.folder / "deltadrop.yaml").write_text(
        "root: data\nclose: {wait_seconds: 60, delay_seconds: 0}\n"
    )
    texts = with_exports("texts")["exports/texts.yaml"].replace("export: texts", "export: a-texts")
    (shop.folder / "exports/a-texts.yaml").write_text(texts)
    shop.store_all()
    shop.tell(EventKind.SMS_ACTIVITY, "SENT", at(8), profileId=1, campaignId=1)
    closed: list[list[str]] = []

    def workers_store_meanwhile(seconds: float) -> None:
        ledger = shop.sinks.ledger
        closed.append([one for one in ("a-texts", "profiles") if any(ledger.closes(one))])
        shop.store_all()

    monkeypatch.setattr(time, "sleep", workers_store_meanwhile)

    assert close() == 0
    assert closed == [["profiles"]]
    assert any(shop.sinks.ledger.closes("a-texts"))


def test_a_failure_is_told_by_the_exit_code_also_where_another_export_is_held(
    shop: OfflineShop, close: Callable[..., int]
) -> None:
    texts = with_exports("texts")["exports/texts.yaml"]
    (shop.folder / "exports/texts.yaml").write_text(texts)
    broken = shop.root / "ledger/exports/texts/20260327T060000.000Z/outcome.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{")

    assert close("profiles") == 3
    assert close("texts") == 1
    assert close() == 1


def test_a_close_that_fails_while_others_have_the_turn_is_tried_again_before_the_next_window(
    shop: OfflineShop, close: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def attempt(closer: Closer, export: Any, instant: dt.datetime, *more: Any, **way: Any) -> Any:
        tried.append(f"{instant:%d}")
        if len(tried) == 1:
            with closer.deliveries.passing():  # type: ignore[attr-defined]
                time.sleep(2.5)  # longer than the others wait for it
            raise WaitingError("workers are behind")
        return running.attempt(closer, export, instant, *more, **way)

    shop.store_all()
    monkeypatch.setattr(due_windows, "attempt", attempt)
    two = [Due(at(6), "profiles"), Due(at(6, 28), "profiles")]
    monkeypatch.setattr(service_closes, "due_closes", lambda *_: two)
    monkeypatch.setattr(service_closes._Run, "due", lambda *_: list(two))

    code = close()

    first, second = f"{at(6):%d}", f"{at(6, 28):%d}"
    assert (code, tried) == (0, [first, first, second])
    assert [name for name in shop.drops() if name.endswith(".csv")] == [
        "profiles_20260327_0600.csv",
        "profiles_20260328_0600.csv",
    ]


def test_an_error_beside_a_close_is_a_failure_and_no_endless_run(
    shop: OfflineShop, close: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise BrokenPipeError

    shop.store_all()
    monkeypatch.setattr(due_windows, "attempt", broken)

    assert close() == 1
