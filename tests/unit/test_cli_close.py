"""The command `close` tells what came of it; Kafka's place is taken by a log in memory."""

from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from schemas.events import Kind as EventKind
from sinks.commands import closes
from sinks.reports import Kind, Outbox, Report, channels_of
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

    def run(*exports: str, at: str | None = None) -> int:
        try:
            closes.close(list(exports), at=at, config=shop.folder / "deltadrop.yaml")
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

    assert [one.kind for one in told(shop)] == [Kind.DELIVERED]


def test_what_is_held_is_told_and_then_what_came_of_it(
    shop: OfflineShop, close: Callable[..., int]
) -> None:
    assert close() == 3
    assert close() == 3
    assert [one.kind for one in told(shop)] == [Kind.HELD]

    shop.store_all()
    assert close() == 0
    assert [one.kind for one in told(shop)] == [Kind.HELD, Kind.DELIVERED]


def test_what_is_wrong_with_an_instant_chosen_by_hand_is_told_to_who_chose_it(
    shop: OfflineShop, close: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    shop.store_all()
    assert close("profiles", at=at(6, 28).isoformat()) == 0

    assert close("profiles", at=at(6, 27).isoformat()) == 1

    assert "is before this export's last cut" in capsys.readouterr().err
    assert [one.kind for one in told(shop)] == [Kind.DELIVERED]
