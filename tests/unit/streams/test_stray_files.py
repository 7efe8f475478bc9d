"""Files that aren't ours in the folders of partitions stop nothing, and get nothing removed."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest

from schemas.errors import PartitionError
from streams.storage.coverage import CoverageRecord, CoveredFile
from streams.storage.folder import FolderStore
from streams.storage.layout import CoveragePath, StreamFilePath, TopicPartition
from streams.storage.partitions import Partitions

OWNER = TopicPartition("mail", UUID(int=1), 0)
PATH = CoveragePath(OWNER, 0, 9, "b1")
FILE = "streams/all/day=2026-01-01/b1.parquet"
STRAYS = (
    ".nfs0001",
    "notes.txt~",
    ".x.swp",
    "0-9-b1",
    f"{PATH.first:020d}-{PATH.next:020d}-b1.bak",
)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path)
    store.write(FILE, lambda file: file.write(b"rows"))
    files = (CoveredFile("all", FILE, 1, 1),)
    Partitions(store).write_coverage(CoverageRecord(PATH, {"all": "f"}, files, (), None))
    return store


@pytest.mark.parametrize("stray", [*STRAYS, "folder/x"])
def test_stray_files_are_left_out_of_every_listing(store: FolderStore, stray: str) -> None:
    for folder in (CoveragePath.folder(OWNER), "streams/all/day=2026-01-01", "streams", "coverage"):
        planted = store.root / folder / stray
        planted.parent.mkdir(parents=True, exist_ok=True)
        planted.touch()
    partitions = Partitions(store)

    assert partitions.coverage(OWNER) == [PATH]
    assert partitions.partitions_of("mail") == {str(OWNER.topic_id): {0}}
    assert partitions.records_of(OWNER, "b1") == [PATH]
    assert partitions.topics_of_batches() == {"b1": ("mail", OWNER.topic_id)}
    assert partitions.files_of_batches() == {"b1": [StreamFilePath.parse(FILE)]}
    assert partitions.sweep(-60) == 0
    assert (store.root / "streams" / stray).exists()


def test_a_record_that_a_person_renamed_still_protects_its_files(store: FolderStore) -> None:
    record = store.root / str(PATH)
    record.rename(record.with_name(record.name + ".bak"))

    assert Partitions(store).sweep(-60) == 0


@pytest.mark.parametrize(
    "named",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "streams/all/../../../x/day=2026-01-01/b1.parquet",
        "ledger/exports/a/20260328T050000.000Z/outcome.json",
        "streams/other/day=2026-01-01/b1.parquet",
        "",
        7,
    ],
)
def test_a_record_that_names_another_file_than_its_streams_is_refused_by_name(
    store: FolderStore, named: object
) -> None:
    fields = {"streams": {}, "files": [["all", named, 1, 1]], "dead_letters": [], "appended": None}
    store.write(str(PATH), lambda file: file.write(json.dumps(fields).encode()))

    with pytest.raises(PartitionError) as refused:
        Partitions(store).record(PATH)

    assert str(refused.value).startswith(f"{store.address(str(PATH))}: this coverage record ")
    assert "its offsets are then read from Kafka again" in str(refused.value)
