"""Erasure of personal data (SPEC §5; DESIGN, "Closing a window", *Erasure*)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from schemas.events import Kind
from sinks.drops.verify import verify
from streams.storage.layout import CoveragePath, TopicPartition
from tests.shop.offline import TOPIC_ID, OfflineShop, at
from tests.shop.planted import deleted, finds, state, told

PROFILES = "deltadrop.shop.profile"
EMAILS = "deltadrop.shop.email-activity"
CARDS = "deltadrop.shop.row.cards"
STORES = "deltadrop.shop.row.stores"

Copy = Callable[[], OfflineShop]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> OfflineShop:
    """The story up to its end: everybody is deleted, and nothing is erased."""
    shop = OfflineShop(tmp_path_factory.mktemp("before"))
    told(shop)
    deleted(shop)
    return shop


@pytest.fixture(scope="module")
def erased(before: OfflineShop, tmp_path_factory: pytest.TempPathFactory) -> OfflineShop:
    """The same after a pass."""
    shop = _copy(before, tmp_path_factory.mktemp("erased") / "shop")
    shop.sinks.eraser.run()
    return shop


def _copy(shop: OfflineShop, folder: Path) -> OfflineShop:
    shutil.copytree(shop.folder, folder)
    log = type(shop.log)()
    log.records.update({topic: list(records) for topic, records in shop.log.records.items()})
    return OfflineShop(folder, log, stored=dict(shop.stored))


def test_it_is_everywhere_before_it_is_erased(before: OfflineShop) -> None:
    found = finds(before.root)

    streams = {name.split("/")[1] for name in found if name.startswith("streams/")}
    assert streams == {
        "shop.profile.CREATED",
        "shop.profile.UPDATED",
        "shop.profile.DELETED",
        "shop.email-activity.SENT",
        "shop.email-activity.OPENED",
        "shop.email-activity.CLICKED",
        "shop.sms-activity.SENT",
        "shop.sms-activity.CLICKED",
        "shop.row.cards.CREATED",
        "shop.row.cards.DELETED",
    }
    assert any(name.endswith("waiting.parquet") for name in found)
    assert any(name.endswith(".csv") for name in found)
    assert any(name.endswith(".csv.gz") for name in found)


def test_after_a_pass_nothing_of_the_deleted_is_anywhere(erased: OfflineShop) -> None:
    assert finds(erased.root) == set()


@pytest.mark.parametrize("mark", ["ALIVE", "COLD"])
def test_another_life_and_other_people_stay_as_they_were(
    before: OfflineShop, erased: OfflineShop, mark: str
) -> None:
    """A repeat of the deletion came after the other life began: it changes nothing."""
    assert finds(erased.root, mark)
    streams = {name for name in finds(before.root, mark) if name.startswith("streams/")}
    assert {name for name in finds(erased.root, mark) if name.startswith("streams/")} == streams


def test_dates_and_lists_are_erased_too(erased: OfflineShop) -> None:
    for file in (erased.root / "streams" / "shop.profile.CREATED").rglob("*.parquet"):
        for row in pq.read_table(file, partitioning=None).to_pylist():
            values = row["attributes"]
            gone = values["firstName"] is None
            assert (values["birthDate"] is None, values["hobbies"] is None) == (gone, gone)
            assert values["city"] == "Ghent", "it isn't personal"


def test_files_keep_their_names_offsets_and_counts(
    before: OfflineShop, erased: OfflineShop
) -> None:
    kept = ["_partition", "_offset", "_appended_at", "eventId", "eventType", "occurredAt"]
    old, new = state(before.root), state(erased.root)
    names = [name for name in old if name.startswith(("streams/", "coverage/"))]
    assert names == [name for name in new if name.startswith(("streams/", "coverage/"))]
    for name in names:
        if name.startswith("coverage/"):
            assert old[name] == new[name]
        else:
            first, second = (pq.ParquetFile(shop.root / name) for shop in (before, erased))
            assert first.schema_arrow == second.schema_arrow
            assert first.read(kept) == second.read(kept)


def test_a_replaced_drop_is_a_revision_whose_manifest_says_why(erased: OfflineShop) -> None:
    revised = [name for name in erased.drops() if "-r1" in name and "manifest" not in name]

    assert len(revised) == 7
    for name in revised:
        file = next(erased.transferbox.rglob(name))
        assert verify(file).is_well
        manifest = file.with_name(f"{name}.manifest.json").read_text()
        assert '"reason": "erasure of personal data"' in manifest
        assert '"revision": 1' in manifest
        assert not list(erased.transferbox.rglob(name.replace("-r1", ""))), "it was replaced"


def test_a_drop_whose_bytes_dont_change_gets_no_revision(erased: OfflineShop) -> None:
    assert "profiles_20260328_0600.csv" in erased.drops()
    assert "sent_20260328_0600.csv.gz" in erased.drops()


def test_the_next_pass_finds_nothing_and_touches_nothing(
    erased: OfflineShop, tmp_path: Path
) -> None:
    shop = _copy(erased, tmp_path / "shop")
    long_ago = 1_000_000_000
    for file in shop.root.rglob("*.parquet"):
        os.utime(file, (long_ago, long_ago))

    report = shop.sinks.eraser.run()

    assert (report.deletions, report.drops, report.left) == (0, [], [])
    assert not any(one.files for one in [report.bases, report.waiting, *report.topics.values()])
    touched = [f for f in shop.root.rglob("*.parquet") if f.stat().st_mtime > long_ago]
    assert [file.parent.name for file in touched] == ["settled"]


def test_a_close_gives_the_same_bytes_whether_or_not_it_was_erased(
    before: OfflineShop, erased: OfflineShop, tmp_path: Path
) -> None:
    """So a close that runs at the same time may read the one or the other version of a file."""
    shops = [_copy(before, tmp_path / "before"), _copy(erased, tmp_path / "erased")]

    ours, theirs = (shop.close_all(at(6, 29)) for shop in shops)

    assert {name: one.sha256 for name, one in ours.items()} == {
        name: one.sha256 for name, one in theirs.items()
    }
    assert ours["profiles"].rows == 1, "the other life"
    assert finds(shops[1].root) == set()


def test_a_mended_hole_doesnt_bring_it_back(erased: OfflineShop, tmp_path: Path) -> None:
    shop = _copy(erased, tmp_path / "shop")
    for topic in (PROFILES, EMAILS):
        folder = shop.root / CoveragePath.folder(TopicPartition(topic, TOPIC_ID, 0))
        first, *_ = sorted(folder.iterdir())
        batch = first.name.rpartition("-")[2]
        first.unlink()
        for file in (shop.root / "streams").rglob(f"{batch}.parquet"):
            file.unlink()
    shop = shop.again()

    shop.close_all(at(6, 29))

    assert finds(shop.root) == set()
    assert "ALIVE-mail" in "".join(f.read_text() for f in shop.transferbox.rglob("*0329*.csv"))


def test_a_zombies_batch_doesnt_bring_it_back(erased: OfflineShop, tmp_path: Path) -> None:
    shop = _copy(erased, tmp_path / "shop")

    for topic in (PROFILES, EMAILS, CARDS, "deltadrop.shop.sms-activity"):
        shop.batch(topic, 0, len(shop.log.records[topic]))

    assert finds(shop.root) == set()
    assert finds(shop.root, "ALIVE")


def test_what_a_worker_wrote_that_didnt_know_yet_goes_with_the_next_pass(
    erased: OfflineShop, tmp_path: Path
) -> None:
    shop = _copy(erased, tmp_path / "shop")
    shop.batch(EMAILS, 0, 5, knows_tombstones=False)
    assert finds(shop.root)

    report = shop.sinks.eraser.run()

    assert finds(shop.root) == set()
    assert report.topics[EMAILS].values == 5
    assert report.drops == []


def test_a_base_made_again_or_a_drop_made_again_doesnt_bring_it_back(
    erased: OfflineShop, tmp_path: Path
) -> None:
    shop = _copy(erased, tmp_path / "shop")
    _remake(shop, at(6))

    revised = shop.sinks.eraser.reviser.revise("profiles", at(6), "asked for")

    assert revised is None, "it would be the same"
    assert finds(shop.root) == set()


def test_bases_from_before_the_deletion_are_emptied_and_those_of_another_life_are_not(
    before: OfflineShop, tmp_path: Path
) -> None:
    shop = _copy(before, tmp_path / "shop")
    shop.close_all(at(6, 29))
    _remake(shop, at(6))
    _remake(shop, at(6, 29))
    assert any(name.startswith("bases/") for name in finds(shop.root))
    alive = {name for name in finds(shop.root, "ALIVE") if name.startswith("bases/")}
    assert alive

    report = shop.sinks.eraser.run()

    assert finds(shop.root) == set()
    assert alive <= finds(shop.root, "ALIVE")
    assert report.bases.rows == 2 + 2 + 2, "profiles; cards in each of both"
    shop.close_all(at(6, 30))


def _remake(shop: OfflineShop, instant: datetime) -> None:
    rebase = shop.sinks.rebase
    for name in (PROFILES, CARDS, STORES):
        cut = shop.sinks.cuts.recorded(name, instant)
        assert cut is not None
        choices = rebase.intentions.prove(cut, None)
        rebase.selection.remake(shop.sinks.streams.topics[name], cut, None, choices)


def test_what_waits_for_its_campaign_still_comes_out_without_its_address(
    erased: OfflineShop, tmp_path: Path
) -> None:
    shop = _copy(erased, tmp_path / "shop")
    shop.tell(Kind.CAMPAIGN, "CREATED", at(40), campaignId=77)
    shop.store_all()

    outcome = shop.close("sent", at(6, 29))

    assert outcome.rows == 3, "Bob's that waited, Ann's of her other life, and her late one"
    assert finds(shop.root) == set()
