"""The order of names is that of offsets; tiles cover each offset once, whatever is there."""

from __future__ import annotations

import string
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import PartitionError
from streams.erasure.tombstones import TombstonesPath
from streams.recovery.set_aside import SetAsidePath
from streams.storage.batch_names import new_batch
from streams.storage.coverage import tile
from streams.storage.layout import (
    PASSED_OVER,
    CoveragePath,
    StreamFilePath,
    TakenOutPath,
    TopicPartition,
)

MOST = 2**63 - 1

names = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=40)
batches = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=30)
owners = st.builds(TopicPartition, names, st.uuids(), st.integers(0, 999_999))
offsets = st.integers(0, MOST)

OWNER = TopicPartition("t", UUID(int=1), 0)
small = st.tuples(
    st.integers(0, 30), st.integers(0, 12), st.sampled_from([*"abcd", PASSED_OVER])
).map(lambda drawn: CoveragePath(OWNER, drawn[0], drawn[0] + drawn[1], drawn[2]))


@settings(deadline=None)
@given(owners, st.lists(st.tuples(offsets, offsets, batches), max_size=10))
def test_the_order_of_names_is_the_order_of_offsets(
    owner: TopicPartition, some: list[tuple[int, int, str]]
) -> None:
    paths = [CoveragePath(owner, first, end, batch) for first, end, batch in some]

    by_offset = sorted(paths, key=lambda path: (path.first, path.next, path.batch))
    assert sorted(paths, key=str) == by_offset


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "coverage/t/000000/0-1-a",
        "coverage/t~x/000000/0-1-a",
        "streams/all/2026-01-01/b.parquet",
        "streams/all/day=2026-01-01/b",
        "streams/all/day=2026-01-01/.aside-b.parquet",
        "erasure/tombstones/t/1.parquet",
        "erasure/tombstones/t/.aside-01",
        "set-aside/t/000001",
        "set-aside/t~x/000001",
        "set-aside/t~00000000-0000-0000-0000-000000000001/.aside-01",
        "taken-out/t~00000000-0000-0000-0000-000000000001/000000/1.json",
        "taken-out/t~1/000000/00000000000000000001.json",
    ],
)
@pytest.mark.parametrize(
    "kind", [CoveragePath, SetAsidePath, StreamFilePath, TombstonesPath, TakenOutPath]
)
def test_what_is_no_path_is_refused(
    kind: type[CoveragePath | SetAsidePath | StreamFilePath | TombstonesPath | TakenOutPath],
    wrong: str,
) -> None:
    with pytest.raises(PartitionError, match="is not the name of"):
        kind.parse(wrong)


def test_batches_are_told_apart_and_are_names() -> None:
    made = {new_batch() for _ in range(1000)}

    assert len(made) == 1000
    assert not any(batch.startswith(PASSED_OVER) for batch in made)
    assert all(StreamFilePath.parse(f"streams/s/day=2026-01-01/{b}.parquet") for b in made)


@settings(deadline=None, max_examples=300)
@given(st.lists(small, max_size=12), st.integers(0, 20), st.integers(0, 30), st.randoms())
def test_tiles_are_what_a_choice_offset_by_offset_gives(
    records: list[CoveragePath], first: int, length: int, chance: object
) -> None:
    tiling = tile(records, first, first + length)

    chosen: dict[int, CoveragePath] = {}
    for piece in tiling.tiles:
        assert piece.first < piece.next
        for offset in range(piece.first, piece.next):
            assert offset not in chosen, "an offset is read twice"
            chosen[offset] = piece.record
    missing = {o for hole in tiling.holes for o in range(hole.first, hole.next)}
    now: CoveragePath | None = None
    for offset in range(first, first + length):
        covering = [r for r in records if r.first <= offset < r.next]
        is_lost = any(r.is_passed_over for r in covering)
        if now is None or now.next <= offset or now.is_passed_over != is_lost:
            covering = [r for r in covering if r.is_passed_over == is_lost]
            now = min(covering, key=lambda r: (-r.next, str(r)), default=None)
        assert chosen.get(offset) == now
        assert (offset in missing) == (now is None)
    shuffled = list(records)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert tile(shuffled + shuffled, first, first + length) == tiling
    assert tiling.is_whole == (not missing)
