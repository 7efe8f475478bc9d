"""What was asked for as an initial drop stays one, whoever goes on with it (SPEC §3)."""

import datetime as dt
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import HeldError, WrongCloseError
from schemas.events import Kind
from sinks.commands import closes
from sinks.ledger.due import Due, due_closes
from sinks.ledger.ledger import Ledger
from sinks.setup import Sinks
from tests.shop.commands import exit_code_of
from tests.shop.killed import KilledError
from tests.shop.offline import OfflineShop, at, with_exports


@pytest.fixture
def shop(tmp_path: Path) -> OfflineShop:
    """Three profiles live since before the export's first window."""
    (tmp_path / "deltadrop.yaml").write_text(
        "root: data\nclose: {wait_seconds: 0.1, delay_seconds: 0}\n"
    )
    shop = OfflineShop(tmp_path, definitions=with_exports("profiles"))
    for profile in range(3):
        shop.tell(Kind.PROFILE, "CREATED", at(-100), profileId=profile)
    shop.store_all()
    return shop


def close_initially(shop: OfflineShop, instant: dt.datetime) -> None:
    (export,) = shop.sinks.exports
    shop.sinks.closer.close(export, instant, lambda lags: None, initial=True)


def test_one_that_was_killed_before_its_intent_is_finished_as_one(
    shop: OfflineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setattr(Ledger, "record_intent", killed)
        close_initially(shop, at(7))
    again = shop.again()

    assert due_closes(again.sinks.exports, again.sinks.ledger, at(8)) == [Due(at(7), "profiles")]
    assert again.close("profiles", at(7)).rows == 3


def test_one_that_waited_for_workers_is_one_when_the_scheduler_closes_its_instant(
    shop: OfflineShop,
) -> None:
    shop.tell(Kind.PROFILE, "CREATED", at(1), profileId=3)
    with pytest.raises(HeldError):
        close_initially(shop, at(6))
    shop.store_all()

    assert shop.close("profiles", at(6)).rows == 4


def test_a_claim_of_an_older_ledger_is_a_deltas(shop: OfflineShop) -> None:
    shop.sinks.ledger.claim("profiles", None, at(7))

    assert shop.close("profiles", at(7)).rows == 0


def test_one_that_another_close_came_before_is_none(shop: OfflineShop) -> None:
    shop.tell(Kind.PROFILE, "CREATED", at(5), profileId=3)
    with pytest.raises(HeldError):
        close_initially(shop, at(6))
    shop.store_all()
    shop.close("profiles", at(4))

    assert shop.close("profiles", at(6)).rows == 1


@pytest.mark.parametrize("recorded", [True, False])
def test_one_at_the_instant_of_a_delta_is_refused(
    shop: OfflineShop,
    recorded: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if recorded:
        shop.close("profiles", at(6))
    else:
        shop.begin("profiles", at(6))
    monkeypatch.setattr(Sinks, "of", shop.sinks_of)
    config = shop.folder / "deltadrop.yaml"
    initial = partial(closes.close, ["profiles"], at=at(6).isoformat(), initial=True, config=config)

    assert exit_code_of(initial) == WrongCloseError.exit_code == 2

    assert capsys.readouterr().err == (
        "profiles at 2026-03-27T06:00:00+00:00: export 'profiles': an initial drop is an export's"
        " first; it was closed at 20260327T060000.000Z; close it without --initial, or define an"
        " export of another name\n"
    )


def test_one_that_a_delta_comes_before_meanwhile_is_refused(
    shop: OfflineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both close the same instant; the delta's began before the initial drop was asked for, and its
    intent is recorded first.
    """
    other = shop.again()
    claim = Ledger.claim

    def claim_late(ledger: Ledger, *told: Any) -> dt.datetime:
        monkeypatch.setattr(Ledger, "claim", claim)
        monkeypatch.setattr(Ledger, "is_initial_requested", lambda *_: False)
        other.begin("profiles", at(6))
        return ledger.claim(*told)

    monkeypatch.setattr(Ledger, "claim", claim_late)
    with pytest.raises(WrongCloseError):
        close_initially(shop, at(6))
    assert shop.drops() == []
