"""When an initial drop is made that nobody gave an instant for."""

import datetime as dt
from pathlib import Path

import pytest

from schemas.tables import load_catalog
from sinks.exports.export import Export, load_exports
from sinks.ledger.ledger import Intent, Ledger
from sinks.schedule import Due, initial_closes
from streams.store import LocalStore

NOW = dt.datetime(2026, 11, 25, 14, 30, 5, 250_000, tzinfo=dt.UTC)
DEMO = Path(__file__).parents[2] / "deploy" / "demo"


@pytest.fixture
def stores() -> Export:
    exports = load_exports(DEMO / "exports", load_catalog(DEMO / "tables"))
    return next(export for export in exports if export.name == "stores")


def test_it_is_of_now_to_the_second(stores: Export, tmp_path: Path) -> None:
    due = initial_closes([stores], Ledger(LocalStore(tmp_path)), NOW)

    assert due == [Due(NOW.replace(microsecond=0), "stores")]


def test_one_that_was_begun_is_finished_first(stores: Export, tmp_path: Path) -> None:
    ledger = Ledger(LocalStore(tmp_path))
    begun = NOW - dt.timedelta(hours=3)
    ledger.record_intent(Intent("stores", begun, begun, None, {}, {}, (), {}, initial=True))

    assert initial_closes([stores], ledger, NOW) == [Due(begun, "stores")]
