"""The transferbox keeps drops for as many days as it's told, and nothing is removed that isn't a
drop which was delivered.
"""

import dataclasses
import hashlib
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.events import Kind
from schemas.settings.settings import load_settings
from sinks.repair.retention import Retention
from tests.shop.offline import OfflineShop, at, with_exports

DROP = "sent_20260327_0600.csv.gz"
MANIFEST = f"{DROP}.manifest.json"


@pytest.fixture(scope="module")
def _closed(tmp_path_factory: pytest.TempPathFactory) -> OfflineShop:
    folder = tmp_path_factory.mktemp("site")
    shop = OfflineShop(folder, definitions=with_exports("sent"))
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    shop.tell(Kind.EMAIL_ACTIVITY, "SENT", at(2))
    shop.store_all()
    return shop


@pytest.fixture
def shop(_closed: OfflineShop, tmp_path: Path) -> OfflineShop:
    """One drop in the transferbox, delivered a moment ago."""
    shutil.copytree(_closed.folder, tmp_path / "site")
    shop = OfflineShop(tmp_path / "site", _closed.log, definitions=_closed.definitions)
    shop.close("sent", at(6))
    return shop


def kept(shop: OfflineShop, days: int, limit: int | None = 30) -> list[str]:
    """What is in the export's folder after so many days, with a retention of `limit`."""
    retention = dataclasses.replace(shop.sinks.retention, days=limit, now=lambda: later(days))
    retention.sweep()
    return sorted(file.name for file in (shop.transferbox / "sent").iterdir())


def later(days: int) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def test_a_drop_and_its_manifest_are_removed_so_many_days_after_the_delivery(
    shop: OfflineShop,
) -> None:
    assert kept(shop, 29) == [DROP, MANIFEST]
    assert kept(shop, 31) == []


def test_a_drop_that_was_dropped_again_stays_as_long_as_one_that_is_new(shop: OfflineShop) -> None:
    folder = shop.transferbox / "sent"
    (folder / "notes.txt").write_text("a file that is old: the folder is looked through")
    for name in (DROP, MANIFEST):
        os.utime(folder / name, (later(30).timestamp(),) * 2)

    assert kept(shop, 59) == ["notes.txt", DROP, MANIFEST]
    assert kept(shop, 61) == ["notes.txt"]


def test_without_the_setting_everything_stays(shop: OfflineShop) -> None:
    assert shop.sinks.settings.transferbox.retention_days is None
    assert kept(shop, 4000, limit=None) == [DROP, MANIFEST]


def test_a_recorded_close_stays_closed_when_its_drop_is_gone(shop: OfflineShop) -> None:
    outcome = shop.sinks.ledger.outcome("sent", at(6))
    kept(shop, 31)

    assert shop.again().close("sent", at(6)) == outcome
    assert kept(shop, 0) == []


def test_what_goes_beside_a_drop_is_removed_with_it(_closed: OfflineShop, tmp_path: Path) -> None:
    shutil.copytree(_closed.folder, tmp_path / "ready")
    (tmp_path / "ready/deltadrop.yaml").write_text(
        "root: data\ntransferbox: {manifests: false, ready_file: .ready, checksum_file: true}\n"
    )
    shop = OfflineShop(tmp_path / "ready", _closed.log, definitions=_closed.definitions)
    shop.close("sent", at(6))

    assert kept(shop, 29) == [DROP, f"{DROP}.ready", f"{DROP}.sha256"]
    assert kept(shop, 31) == []


def test_a_checksum_file_that_somebody_changed_stays(_closed: OfflineShop, tmp_path: Path) -> None:
    shutil.copytree(_closed.folder, tmp_path / "checksum")
    (tmp_path / "checksum/deltadrop.yaml").write_text(
        "root: data\ntransferbox: {manifests: false, checksum_file: true}\n"
    )
    shop = OfflineShop(tmp_path / "checksum", _closed.log, definitions=_closed.definitions)
    shop.close("sent", at(6))
    file = shop.transferbox / "sent" / f"{DROP}.sha256"
    text = file.read_text()
    file.unlink()
    file.write_text(("1" if text[0] == "0" else "0") + text[1:])

    assert kept(shop, 31) == [file.name]


@pytest.mark.parametrize("name", ["notes.txt", "sent_20200101_0600.csv.gz", ".hidden"])
def test_a_file_that_wasn_t_delivered_is_never_removed(shop: OfflineShop, name: str) -> None:
    (shop.transferbox / "sent" / name).write_text("the partner's own")

    assert kept(shop, 31) == [name]


@pytest.mark.parametrize("name", [DROP, MANIFEST])
def test_a_file_that_was_changed_since_is_never_removed(shop: OfflineShop, name: str) -> None:
    file = shop.transferbox / "sent" / name
    content = file.read_bytes()
    sha256 = hashlib.sha256((shop.transferbox / "sent" / DROP).read_bytes()).hexdigest().encode()
    other = content.replace(sha256, sha256[::-1]) if name == MANIFEST else content[::-1]
    assert other != content
    file.unlink()  # it may be another name of what was delivered elsewhere
    file.write_bytes(other)

    assert kept(shop, 31) == [name]


def test_what_a_close_has_begun_and_not_finished_is_never_removed(shop: OfflineShop) -> None:
    (outcome,) = shop.root.glob("ledger/exports/sent/*/outcome.json")
    outcome.unlink()

    assert kept(shop, 31) == [DROP, MANIFEST]


def test_the_drops_are_found_where_the_root_was_moved_to(shop: OfflineShop, tmp_path: Path) -> None:
    moved = shop.folder.rename(tmp_path / "moved")
    there = OfflineShop(moved, shop.log, definitions=shop.definitions)

    assert kept(there, 31) == []


def test_the_setting_is_in_days(tmp_path: Path) -> None:
    file = tmp_path / "deltadrop.yaml"
    file.write_text("transferbox: {retention_days: 60}\n")

    assert load_settings(file).transferbox.retention_days == 60


def test_a_sweep_says_how_many_files_went(shop: OfflineShop) -> None:
    retention: Retention = dataclasses.replace(shop.sinks.retention, days=30, now=lambda: later(31))

    assert (retention.sweep(), retention.sweep()) == (2, 0)
