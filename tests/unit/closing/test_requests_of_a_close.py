"""What closes ask the ledger: an object store charges for each request, and each takes its time."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schemas.events import Kind
from sinks.exports.export import Export
from sinks.instants import stamp
from sinks.repair.redrop import Redropper
from sinks.repair.release import Releaser
from sinks.service.history import history_entry
from streams.storage.folder import FolderStore
from tests.shop.offline import OfflineShop, at, with_exports

CLOSED, NEXT = at(6, 28), at(6, 29)


class Requests(FolderStore):
    """A store that notes what it is asked of closes, by name or folder."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.made: list[str] = []

    def read(self, name: str) -> bytes:
        self.made.append(name)
        return super().read(name)

    def names(self, folder: str, after: str = "") -> Iterator[str]:
        self.made.append(f"{folder}/")
        return super().names(folder, after)

    def of(self, action: Callable[[], object]) -> Counter[str]:
        """What an action asks of closes' entries."""
        self.made.clear()
        action()
        return Counter(name for name in self.made if name.startswith("ledger/exports/"))


@pytest.fixture
def store(tmp_path: Path) -> Requests:
    return Requests(tmp_path / "data")


@pytest.fixture
def shop(tmp_path: Path, store: Requests) -> OfflineShop:
    """Two windows are closed; something has come since."""
    shop = OfflineShop(tmp_path, definitions=with_exports("sent"), store=store)
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=1)
    for number, moment in enumerate([at(2), at(8), at(8, 28)]):
        mail = {"interactionId": number, "campaignId": 1, "profileId": 1}
        shop.tell(Kind.EMAIL_ACTIVITY, "SENT", moment, **mail)
        shop.store_all()
        if number < 2:
            shop.close("sent", (at(6), CLOSED)[number])
    return shop


def own(requests: Counter[str], instant: object = NEXT) -> Counter[str]:
    """Those of a close's own entries, by file; the folder itself is ''."""
    folder = f"ledger/exports/sent/{stamp(instant)}/"  # type: ignore[arg-type]
    return Counter(
        {name.removeprefix(folder): n for name, n in requests.items() if name.startswith(folder)}
    )


def test_a_fresh_close_asks_for_no_entry_twice(shop: OfflineShop, store: Requests) -> None:
    """It looks whether it was done, lists what is there, and looks again before it delivers."""
    asked = own(store.of(lambda: shop.close("sent", NEXT)))

    assert asked == {"outcome.json": 1, "": 2, "at.transferbox.json": 1}


def test_a_close_that_was_recorded_asks_for_its_outcome_alone(
    shop: OfflineShop, store: Requests
) -> None:
    assert store.of(lambda: shop.close("sent", CLOSED)).total() == 1


def test_a_close_that_was_begun_reads_its_intent_once(shop: OfflineShop, store: Requests) -> None:
    shop.begin("sent", NEXT)

    asked = own(store.of(lambda: shop.close("sent", NEXT)))

    assert asked == {"outcome.json": 1, "": 2, "intent.json": 1, "at.transferbox.json": 1}


def test_a_release_reads_each_entry_once(shop: OfflineShop, store: Requests) -> None:
    definition = shop.folder / "exports/sent.yaml"
    definition.write_text(definition.read_text() + "guard_rails: {rows_at_least: 5}\n")
    held = shop.again(store)
    with pytest.raises(Exception, match="held: 1 row, at least 5 are expected"):
        held.close("sent", NEXT)

    asked = own(store.of(lambda: Releaser(held.sinks.reviser).release("sent", NEXT, "a holiday")))

    assert asked == {"": 2, "intent.json": 1, "held.json": 1, "at.transferbox.json": 1}


def test_a_redrop_reads_each_entry_once(shop: OfflineShop, store: Requests) -> None:
    asked = own(store.of(lambda: Redropper(shop.sinks.reviser).redrop("sent", CLOSED)), CLOSED)

    assert asked == {"": 2, "intent.json": 1, "outcome.json": 1}


def test_a_line_of_history_costs_a_listing_and_the_entries_that_are_there(
    shop: OfflineShop, store: Requests
) -> None:
    asked = store.of(lambda: history_entry(shop.sinks.ledger, "sent", CLOSED))

    assert own(asked, CLOSED) == {"": 1, "intent.json": 1, "outcome.json": 1}
    assert asked.total() == 3


def test_a_close_that_was_begun_reads_its_definition_once(
    shop: OfflineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.begin("sent", NEXT)
    read: list[str] = []
    from_json = Export.from_json
    monkeypatch.setattr(Export, "from_json", lambda text: read.append(text) or from_json(text))

    shop.close("sent", NEXT)

    assert len(read) == 1
