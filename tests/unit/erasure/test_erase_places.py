"""Erasure where it is less plain: late facts, users' streams, closes under way, what was left."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from deploy.demo.workspace import COMMAND
from schemas.errors import PartitionError
from schemas.events import KINDS, Kind
from sinks.exports.export import Export
from sinks.locations import Folder
from sinks.locations.base import OtherBytesError
from streams.erasure.files import Erased
from streams.storage.layout import CoveragePath, TopicPartition
from streams.storage.stream import Stream
from tests.shop.events import EVERY_EVENT_TYPE, decode, written
from tests.shop.json_page import check_documented
from tests.shop.offline import TOPIC_ID, OfflineShop, at
from tests.shop.planted import ANN, BOB, PLANTED, attributes, delete, finds, live

PROFILES = "deltadrop.shop.profile"
EMAILS = "deltadrop.shop.email-activity"
CARDS = "deltadrop.shop.row.cards"


@pytest.fixture
def shop(tmp_path: Path) -> OfflineShop:
    """Bob has lived, nothing is closed and nobody is deleted."""
    shop = OfflineShop(tmp_path)
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    live(shop, BOB, PLANTED, 2)
    shop.store_all()
    return shop


def opening(shop: OfflineShop, profile: int, hour: float) -> None:
    told = {"profileId": profile, "interactionId": int(hour * 10)}
    shop.tell(Kind.EMAIL_ACTIVITY, "OPENED", at(hour), **told, emailAddress=f"{PLANTED}-late")
    shop.store_all()


def test_without_another_life_what_comes_after_the_deletion_is_gone_too(shop: OfflineShop) -> None:
    """Once a cut has told that no life began before it: till then it may not be stored yet."""
    delete(shop, BOB, 3)
    opening(shop, BOB, 4)
    shop.sinks.eraser.run()
    assert len(finds(shop.root)) == 1, "the opening, whose person may have come back"

    shop.close("sent", at(6))
    shop.sinks.eraser.run()

    assert finds(shop.root) == set()


def test_with_another_life_what_comes_after_the_deletion_stays(shop: OfflineShop) -> None:
    delete(shop, BOB, 3)
    opening(shop, BOB, 4)
    shop.tell(Kind.PROFILE, "CREATED", at(5), profileId=BOB, attributes=attributes("ALIVE"))
    shop.store_all()
    shop.close("sent", at(6))

    shop.sinks.eraser.run()

    assert len(finds(shop.root)) == 1


def test_another_life_that_is_deleted_goes_as_the_first_did(shop: OfflineShop) -> None:
    shop.close("sent", at(6))
    delete(shop, BOB, 7)
    live(shop, BOB, "SECOND", 8)
    shop.store_all()
    shop.close("sent", at(6, 28))
    shop.sinks.eraser.run()
    assert finds(shop.root, "SECOND")
    delete(shop, BOB, 31)
    shop.store_all()

    report = shop.sinks.eraser.run()

    assert finds(shop.root, "SECOND") == set()
    assert report.deletions == 1
    assert [one.file for one in report.drops] == ["sent_20260328_0600-r1.csv.gz"]


def shouted(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A user's function: it makes columns of its own, one of them a dictionary."""
    loud = pc.utf8_upper(batch.column("emailAddress"))
    names = [*batch.schema.names, "loud", "known"]
    columns = [*batch.columns, loud, loud.dictionary_encode()]
    kept = [n for n in names if n not in ("profileId", "occurredAt", "emailAddress")]
    return pa.RecordBatch.from_arrays(columns, names=names).select(kept)


def test_what_users_streams_have_made_of_it_goes_too(shop: OfflineShop) -> None:
    """Also where their function left out whose it is, and where they are no longer defined."""
    mine = Stream("mine", EMAILS, transform=shouted)
    shop.batch(EMAILS, 0, 3, more=[mine, Stream("plain", EMAILS)])
    assert {name.split("/")[1] for name in finds(shop.root)} >= {"mine", "plain"}
    live(shop, ANN, "ALIVE", 2.5)
    shop.store_all()
    shop.batch(EMAILS, 3, 6, more=[mine])
    delete(shop, BOB, 3)
    shop.store_all()

    shop.sinks.eraser.run()

    assert finds(shop.root) == set()
    assert any("/mine/" in name for name in finds(shop.root, "ALIVE"))


def test_what_is_no_longer_declared_counts_as_personal(shop: OfflineShop) -> None:
    (shop.folder / "tables" / "cards.yaml").unlink()
    (shop.folder / "exports" / "cards.yaml").unlink()
    tables = shop.folder / "tables" / "shop.yaml"
    lines = [line for line in tables.read_text().splitlines() if "firstName" not in line]
    tables.write_text("\n".join(lines))
    offers = shop.folder / "exports" / "offers.yaml"
    offers.write_text(offers.read_text().replace(", profile-firstName", ""))
    delete(shop, BOB, 3)
    shop.store_all()

    again = OfflineShop.__new__(OfflineShop)
    again.__dict__.update(shop.__dict__)
    again.sinks = again.sinks_of(again.settings)
    report = again.sinks.eraser.run()

    assert finds(shop.root) == set()
    assert report.topics[CARDS].files


def test_a_close_that_was_begun_is_finished_before_its_data_goes(shop: OfflineShop) -> None:
    """Nothing of it has left, so it is without those who were deleted since."""
    shop.begin("sent", at(6))
    delete(shop, BOB, 7)
    shop.store_all()

    report = shop.sinks.eraser.run()

    assert report.left == []
    assert shop.sinks.ledger.outcome("sent", at(6)) is not None
    assert report.drops == []
    assert (shop.transferbox / "sent" / "sent_20260327_0600.csv.gz").exists()
    assert finds(shop.root) == set()


def test_a_closer_that_was_frozen_while_a_pass_ran_puts_nothing_in_its_place(
    shop: OfflineShop,
) -> None:
    closer = shop.sinks.closer
    intent = shop.begin("sent", at(6))
    delete(shop, BOB, 7)
    shop.store_all()
    with closer.maker.made(intent) as drop:
        shop.sinks.eraser.run()
        assert drop.file
        box = shop.sinks.eraser.reviser.transferbox
        with pytest.raises(OtherBytesError):  # it had looked for a receipt before there was one
            box.deliver(drop.file, Folder("crm", "sent"), drop.name)

    assert finds(shop.root) == set()


def export_of(shop: OfflineShop, name: str) -> Export:
    return next(one for one in shop.sinks.exports if one.name == name)


def test_a_drop_that_was_fetched_away_isnt_made_again(shop: OfflineShop) -> None:
    shop.close("sent", at(6))
    for file in (shop.transferbox / "sent").iterdir():
        file.unlink()
    delete(shop, BOB, 7)
    shop.store_all()

    assert shop.sinks.eraser.run().drops == []
    assert list((shop.transferbox / "sent").iterdir()) == []


def test_a_hole_in_the_profiles_is_mended_first(shop: OfflineShop) -> None:
    end = len(shop.log.records[PROFILES])
    shop.stored[PROFILES] = end + 1
    delete(shop, BOB, 3)
    shop.tell(Kind.PROFILE, "CREATED", at(4), profileId=ANN, attributes=attributes("ALIVE"))
    shop.store_all()

    report = shop.sinks.eraser.run()

    assert (report.deletions, report.left) == (1, [])
    assert finds(shop.root) == set()


def test_deletions_behind_a_hole_that_cant_be_mended_wait_and_the_report_says_so(
    shop: OfflineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = len(shop.log.records[PROFILES])
    shop.stored[PROFILES] = end + 1
    live(shop, ANN, "ALIVE", 2.5)
    delete(shop, BOB, 3)
    shop.store_all()

    def gone(*_: object) -> int:
        raise PartitionError("no longer in Kafka")

    monkeypatch.setattr(type(shop.log), "read", gone)
    report = shop.sinks.eraser.run()

    assert report.deletions == 0
    assert report.left == [
        f"{PROFILES}/0: offsets {end} to {end + 1} are not stored (no longer in Kafka); deletions"
        " from there on are not erased yet"
    ]


def test_leftovers_of_killed_runs_go_after_an_hour(shop: OfflineShop) -> None:
    shop.close("sent", at(6))
    left = [
        "scratch/tmp1/sent.csv",
        "scratch/spill.tmp",
        "bases/v0/deltadrop.shop.profile/20260327T060000.000Z/rows.parquet",
        "ledger/exports/sent/20260327T060000.000Z/.aside-01",
        "streams/shop.profile.CREATED/day=2026-03-27/.aside-02",
        f"transferbox/crm/sent/.sent.csv.{'0' * 32}.part",
    ]
    for name in left:
        (shop.root / name).parent.mkdir(parents=True, exist_ok=True)
        (shop.root / name).write_text(PLANTED)
    assert shop.sinks.eraser.run().leftovers == 0

    long_ago = at(0).timestamp()
    for name in [*left, "scratch/tmp1"]:
        os.utime(shop.root / name, (long_ago, long_ago))
    report = shop.sinks.eraser.run()

    assert report.leftovers == len(left)
    assert not any((shop.root / name).exists() for name in left)


def run(shop: OfflineShop, *arguments: str) -> str:
    """Run a command as a process: nothing of it needs a server."""
    line = (*COMMAND, *arguments, "--config", str(shop.folder / "deltadrop.yaml"))
    printed = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    if "--json" in arguments:
        check_documented(arguments[0], printed)
    return printed


def test_the_command_says_what_it_erased_and_history_shows_the_revision(shop: OfflineShop) -> None:
    shop.close("sent", at(6))
    delete(shop, BOB, 7)
    shop.store_all()

    told = json.loads(run(shop, "erase", "--json"))
    history = run(shop, "history", "sent")
    as_json = json.loads(run(shop, "history", "sent", "--json"))

    assert told["deletions"] == 1
    assert told["topics"][EMAILS] == {"files": 3, "rows": 3, "values": 3}
    assert told["bases"] == {"files": 0, "rows": 0, "values": 0}
    assert told["waiting"] == {"files": 0, "rows": 0, "values": 0}
    assert [one["file"] for one in told["drops"]] == ["sent_20260327_0600-r1.csv.gz"]
    assert (told["leftovers"], told["left"]) == (0, [])
    assert "  -r1  sent_20260327_0600-r1.csv.gz" in history
    assert "erasure of personal data" in history
    assert as_json["revisions"][0]["revision"] == 1
    assert finds(shop.root) == set()


def breakages() -> list[tuple[str, Callable[[bytes], bytes]]]:
    return [
        ("cut short", lambda value: value[:-3]),
        ("longer", lambda value: value + PLANTED.encode()),
        ("wrong enum", lambda value: value[:42] + b"\x7e" + value[43:]),
        ("shifted", lambda value: value[:5] + b"\x02" + value[5:]),
    ]


@pytest.mark.parametrize(("kind", "event_type"), EVERY_EVENT_TYPE)
def test_the_reason_of_a_dead_letter_shows_nothing_of_its_event(
    kind: Kind, event_type: str
) -> None:
    """Coverage records and the dead-letter topic keep reasons, and logs may show them."""
    texts = {
        field: PLANTED
        for payload in KINDS[kind].payloads.values()
        for field in (*payload.fields, *payload.forbidden)
        if field not in ("attributes", "segments", "subscriptions", "table", "eventType")
    }
    good = written(kind, event_type, **{k: v for k, v in texts.items() if _is_text(kind, k)})
    values = [good, *(broken(good) for _, broken in breakages())]

    refused = decode(kind, values).refused

    assert refused
    assert not [one.reason for one in refused if PLANTED in one.reason]


def _is_text(kind: Kind, field: str) -> bool:
    try:
        written(kind, str(KINDS[kind].event_types[0]), **{field: PLANTED})
    except (ValueError, TypeError, AttributeError):
        return False
    return True


def test_a_file_without_the_gone_isnt_touched(shop: OfflineShop) -> None:
    live(shop, ANN, "ALIVE", 2.5)
    shop.store_all()
    delete(shop, BOB, 3)
    shop.store_all()
    files = {file: file.stat().st_ino for file in shop.root.rglob("*.parquet")}
    keys = "streams/shop.row.cards.DELETED"  # those of nobody go with the first pass
    names = {file: str(file.relative_to(shop.root)) for file in files}
    found = finds(shop.root)
    without = {f for f, name in names.items() if name not in found and not name.startswith(keys)}

    shop.sinks.eraser.run()

    assert without
    assert all(file.stat().st_ino == files[file] for file in without)


def test_what_was_erased_adds_up() -> None:
    assert Erased(1, 2, 3) + Erased(4, 5, 6) == Erased(5, 7, 9)


def test_coverage_isnt_touched(shop: OfflineShop) -> None:
    folder = shop.root / CoveragePath.folder(TopicPartition(PROFILES, TOPIC_ID, 0))
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    delete(shop, BOB, 3, event_id=UUID(int=5))

    shop.sinks.eraser.run()

    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_drop_that_cant_be_made_again_is_told_and_looked_at_again(shop: OfflineShop) -> None:
    """What it was made of may have been removed; the next pass tells of it again."""
    shop.close("sent", at(6))
    delete(shop, BOB, 7)
    shop.store_all()
    folder = shop.root / CoveragePath.folder(TopicPartition(EMAILS, TOPIC_ID, 0))
    for file in folder.iterdir():
        file.unlink()
    shop = shop.again()

    for _ in range(2):
        report = shop.sinks.eraser.run()
        assert report.drops == []
        assert [told.split(" ")[0] for told in report.left] == ["sent@20260327T060000.000Z"]
