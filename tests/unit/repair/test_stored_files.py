"""A sweep tells of files that aren't deltadrop's; with `--all` it reads and checks every record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.errors import LedgerError
from schemas.events import Kind
from sinks.repair.stored_files import strange_files, wrong_records
from sinks.repair.sweep import Swept
from sinks.service.status import status_of
from sinks.service.upkeep import sweep_half_steps
from tests.shop.offline import OfflineShop, at, with_exports
from tests.shop.planted import live

STRAYS = (
    "leases/schedule/.nfs0001",
    "coverage/notes.txt",
    "ledger/.nfs0002",
    "ledger/cuts/x~",
    "ledger/chain/texts/first~",
    "ledger/losses/a/b",
    "ledger/exports/texts/.outcome.json.swp",
    "ledger/exports/texts/20260327T060000.000Z/outcome.json~",
    "ledger/exports/texts/folder/inside/deep.txt",
    "taken-out/x",
    "set-aside/x",
    "streams/email-activities/x",
    "bases/x",
    "erasure/x",
    "erasure/tombstones/demo.shop.profile/x",
    "reports/texts/x",
)


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> OfflineShop:
    """A window of an export, closed."""
    shop = OfflineShop(tmp_path_factory.mktemp("closed"), definitions=with_exports("texts"))
    live(shop, 1, "ANN", 3)
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=23)
    shop.store_all()
    shop.close("texts", at(6))
    return shop


@pytest.fixture
def shop(closed: OfflineShop, tmp_path: Path) -> OfflineShop:
    return closed.copied(tmp_path / "shop")


def records(shop: OfflineShop) -> Iterator[Path]:
    """All records that decide something."""
    for top in ("coverage", "ledger", "bases"):
        for file in sorted((shop.root / top).rglob("*")):
            if file.is_file() and file.suffix != ".parquet":
                yield file


def test_stray_files_stop_neither_status_nor_closes_nor_sweeps_which_tell_of_each(
    shop: OfflineShop,
) -> None:
    for stray in STRAYS:
        planted = shop.root / stray
        planted.parent.mkdir(parents=True, exist_ok=True)
        planted.touch()

    status = status_of(shop.sinks.installation, at(7))
    shop.close("texts", at(6, 28))
    swept = sweep_half_steps(shop.sinks, all_records=True)

    assert [export.trouble for export in status.exports] == [""]
    assert sorted(swept.strange) == sorted(str(shop.root / stray) for stray in STRAYS)
    assert (swept.left, swept.wrong) == ([], [])
    assert all((shop.root / stray).exists() for stray in STRAYS)


def test_an_installation_has_no_strange_file_and_no_wrong_record(shop: OfflineShop) -> None:
    store = shop.sinks.ledger.store

    assert list(strange_files(store)) == []
    assert list(wrong_records(store)) == []


def test_every_record_that_is_edited_is_found(shop: OfflineShop) -> None:
    store, edited = shop.sinks.ledger.store, list(records(shop))
    for record in edited:
        content = record.read_bytes()
        record.write_bytes(content.replace(b"2", b"3", 1) if b"2" in content[:-90] else b"{")

    found = [error.where for error in wrong_records(store)]

    assert sorted(found) == sorted(map(str, edited))
    assert {record.relative_to(shop.root).parts[0] for record in edited} >= {"coverage", "ledger"}
    assert {"outcome.json", "intent.json", "first"} <= {record.name for record in edited}


def test_an_outcome_that_was_edited_stops_its_export_alone(shop: OfflineShop) -> None:
    outcome = next(record for record in records(shop) if record.name == "outcome.json")
    outcome.write_bytes(outcome.read_bytes().replace(b'"rows": 0', b'"rows": 7'))

    with pytest.raises(LedgerError, match="was changed after it was written"):
        shop.sinks.ledger.outcome("texts", at(6))
    [export] = status_of(shop.sinks.installation, at(7)).exports
    assert export.trouble.startswith(f"{outcome}: this entry of the ledger was changed")


def test_many_findings_are_a_few_lines_for_people() -> None:
    lines = list(Swept(strange=[f"/data/{number}" for number in range(500)]).lines())

    assert lines[3] == "strange, left alone: /data/0 isn't deltadrop's"
    assert lines[-1] == "strange, left alone: 480 more (--json has all) isn't deltadrop's"
    assert len(lines) == 3 + 21
