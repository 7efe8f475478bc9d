"""What is gathered comes out once, in order, with every offset between covered, no other."""

from __future__ import annotations

import pyarrow as pa
from faust.types import TP
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.reading.gather import BATCH_RECORDS, Gather, Limits
from streams.reading.records import RECORDS, Flush

PARTITIONS = [TP("a", 0), TP("a", 1), TP("b", 0)]
LIMITS = Limits(batch_bytes=200, batch_seconds=10.0, bytes_in_flight=1000)


def piece(offsets: list[int]) -> pa.RecordBatch:
    rows = [offsets, [0] * len(offsets), [b"k"] * len(offsets), [b"v" * 20] * len(offsets)]
    return pa.RecordBatch.from_arrays(
        [pa.array(row, field.type) for row, field in zip(rows, RECORDS, strict=True)],
        schema=RECORDS,
    )


def offsets_of(flush: Flush) -> dict[TP, list[int]]:
    return {
        TP(flush.topic, chunk.partition): [
            offset for records in chunk.records for offset in records.column("offset").to_pylist()
        ]
        for chunk in flush.chunks
    }


steps = st.lists(
    st.tuples(
        st.sampled_from(["fetch", "marker", "leap", "seek", "due", "largest"]),
        st.sampled_from(PARTITIONS),
        st.integers(1, 4),
        st.floats(0, 6),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=300)
@given(steps)
def test_chunks_follow_each_other_and_hold_what_was_fetched(
    some: list[tuple[str, TP, int, float]],
) -> None:
    gather, now = Gather(LIMITS), 0.0
    at = dict.fromkeys(PARTITIONS, 0)  # where the client stands
    taken = dict.fromkeys(PARTITIONS, 0)  # where the last chunk, or a leap, ended
    waiting: dict[TP, list[int]] = {tp: [] for tp in PARTITIONS}
    gather.reset(dict(at))

    def check(flushes: list[Flush]) -> None:
        for flush in flushes:
            for chunk in flush.chunks:
                tp = TP(flush.topic, chunk.partition)
                assert (chunk.first, chunk.next) == (taken[tp], at[tp])
                assert offsets_of(flush)[tp] == waiting[tp]
                taken[tp], waiting[tp] = chunk.next, []

    for step, tp, count, seconds in some:
        now += seconds
        if step == "fetch":
            offsets = list(range(at[tp], at[tp] + count))
            gather.continue_at(tp, at[tp])
            at[tp] += count
            waiting[tp] += offsets
            gather.add({tp: [piece(offsets)]}, {tp: at[tp]}, now)
        elif step == "marker":
            at[tp] += 1
            gather.add({}, {tp: at[tp]}, now)
        elif step == "leap":
            at[tp] += count
            assert gather.continue_at(tp, at[tp])
            taken[tp], waiting[tp] = at[tp], []
        elif step == "seek":
            gather.restart(tp, at[tp])
            taken[tp], waiting[tp] = at[tp], []
        elif step == "largest":
            check(list(gather.take_largest()))
        else:
            check(list(gather.take_due(now)))
        gathered = sum(len(offsets) for offsets in waiting.values())
        assert (gather.nbytes > 0) == (gathered > 0)
    check(list(gather.take_all()))
    assert taken == at
    assert not any(waiting.values())
    assert gather.nbytes == 0
    assert not gather.has_any


def test_a_batch_is_due_by_bytes_or_by_time() -> None:
    gather = Gather(LIMITS)
    few, many = PARTITIONS[0], PARTITIONS[2]
    gather.add({few: [piece([0])]}, {few: 1}, now=0.0)
    assert list(gather.take_due(9.0)) == []
    assert gather.seconds_until_due(9.0) == 1.0

    gather.add({many: [piece(list(range(10)))]}, {many: 10}, now=9.0)
    assert [flush.topic for flush in gather.take_due(9.0)] == ["b"]
    assert [flush.topic for flush in gather.take_due(10.0)] == ["a"]
    assert list(gather.take_all()) == []


def test_the_largest_topic_makes_room() -> None:
    gather = Gather(LIMITS)
    gather.add({PARTITIONS[0]: [piece([0])], PARTITIONS[2]: [piece([0, 1])]}, {}, now=0.0)

    assert [flush.topic for flush in gather.take_largest()] == ["b"]
    assert gather.has_any


def test_what_was_gathered_before_a_leap_is_never_covered() -> None:
    gather = Gather(LIMITS)
    tp = PARTITIONS[0]
    gather.add({tp: [piece([0, 1])]}, {tp: 2}, now=0.0)

    assert gather.continue_at(tp, 5)

    gather.add({tp: [piece([5])]}, {tp: 6}, now=0.0)
    (flush,) = gather.take_all()
    assert [(chunk.first, chunk.next) for chunk in flush.chunks] == [(5, 6)]


def test_a_topic_is_due_by_the_number_of_its_records_too() -> None:
    gather = Gather(Limits())
    many = piece(list(range(BATCH_RECORDS - 1)))
    gather.add({PARTITIONS[0]: [many]}, {}, 0.0)
    assert list(gather.take_due(0.0)) == []

    gather.add({PARTITIONS[0]: [piece([BATCH_RECORDS])]}, {}, 0.0)

    (flush,) = gather.take_due(0.0)
    assert sum(len(records) for chunk in flush.chunks for records in chunk.records) == BATCH_RECORDS
