"""When an initial drop is made that nobody gave an instant for."""

import datetime as dt
from pathlib import Path

import pytest
import typer

from schemas.events import Kind
from schemas.tables import load_catalog
from sinks.commands import closes
from sinks.exports.export import Export, load_exports
from sinks.ledger.due import Due, due_closes, initial_closes
from sinks.ledger.intent import Intent
from sinks.ledger.ledger import Ledger
from sinks.setup import Sinks
from streams.storage.folder import FolderStore
from tests.shop.offline import OfflineShop, at, with_exports

NOW = dt.datetime(2026, 11, 25, 14, 30, 5, 250_000, tzinfo=dt.UTC)
DEMO = Path(__file__).parents[3] / "deploy" / "demo"


@pytest.fixture
def stores() -> Export:
    exports = load_exports(DEMO / "exports", load_catalog(DEMO / "tables"))
    return next(export for export in exports if export.name == "stores")


def test_it_is_of_now_to_the_second(stores: Export, tmp_path: Path) -> None:
    due = initial_closes([stores], Ledger(FolderStore(tmp_path)), NOW)

    assert due == [Due(NOW.replace(microsecond=0), "stores")]


def test_one_that_was_begun_is_finished_first(stores: Export, tmp_path: Path) -> None:
    ledger = Ledger(FolderStore(tmp_path))
    begun = NOW - dt.timedelta(hours=3)
    ledger.record_intent(Intent("stores", begun, begun, None, {}, {}, (), {}, initial=True))

    assert initial_closes([stores], ledger, NOW) == [Due(begun, "stores")]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OfflineShop:
    """A card that was made long ago; its export is new, and an older one is closed by cron."""
    (tmp_path / "deltadrop.yaml").write_text("root: data\nclose: {delay_seconds: 0}\n")
    shop = OfflineShop(tmp_path, definitions=with_exports("profiles", "cards"))
    shop.tell(Kind.PROFILE, "CREATED", at(1), profileId=7)
    shop.tell(Kind.ROW, "CREATED", at(2), id=1, profileId=7)
    shop.store_all()
    monkeypatch.setattr(Sinks, "of", shop.sinks_of)
    (tmp_path / "exports").rename(tmp_path / "exports-new")
    (tmp_path / "exports").mkdir()
    profiles = (tmp_path / "exports-new" / "profiles.yaml").read_text()
    (tmp_path / "exports" / "profiles.yaml").write_text(profiles)
    return shop


def cron(shop: OfflineShop) -> None:
    closes.close(None, config=shop.folder / "deltadrop.yaml")


def test_a_new_export_begins_with_its_initial_drop_while_cron_closes_the_others(
    shop: OfflineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of docs/operating.md, "Begin with an initial drop"."""
    cron(shop)
    with monkeypatch.context() as environment:
        environment.setenv("DELTADROP_EXPORTS", "exports-new")
        closes.close(["cards"], initial=True, config=shop.folder / "deltadrop.yaml")
    cron(shop)

    (shop.folder / "exports-new" / "cards.yaml").rename(shop.folder / "exports" / "cards.yaml")
    cron(shop)

    ledger = shop.again().sinks.ledger
    first, *more = ledger.closes("cards")
    assert not more, "its next window isn't over"
    intent, outcome = ledger.intent("cards", first), ledger.outcome("cards", first)
    assert intent is not None
    assert outcome is not None
    assert intent.initial
    assert outcome.rows == 1
    cards = next(one for one in shop.again().sinks.exports if one.name == "cards")
    (due,) = due_closes([cards], ledger, first + dt.timedelta(days=1))
    assert due.instant > first


def test_a_new_export_is_due_at_once(shop: OfflineShop) -> None:
    """What keeps its first close from being an initial drop, where cron sees its definition."""
    (shop.folder / "exports-new" / "cards.yaml").rename(shop.folder / "exports" / "cards.yaml")
    cron(shop)

    with pytest.raises(typer.Exit) as left:
        closes.close(["cards"], initial=True, config=shop.folder / "deltadrop.yaml")

    assert left.value.exit_code == 2
