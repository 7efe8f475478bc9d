"""A dead letter always fits, and says what it has a part of (SPEC §6)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.derive import avro_schema
from schemas.events import Kind
from schemas.reasons import reason_text
from streams.dead_letters import cli as cli_dead_letters
from streams.dead_letters.read import Letter, identity_of
from streams.dead_letters.show import HIDDEN, Shown, Usable
from streams.reading.records import Chunk, Flush, Part
from streams.storage.folder import FolderStore
from streams.storage.partitions import Partitions
from streams.writing.dead_letter_topic import Poison, headers_of, letter_within
from tests.shop.events import CATALOG, OneSchema, topic, written
from tests.unit.streams.test_streams_batch import TOPIC, TOPIC_ID, Letters, owner, records, writer

KAFKA_TAKES = 1_048_588
SMALLEST = 2 << 10
PERSONAL = b"ann@shop.example"


def poison(value: bytes | None, key: bytes | None = b"33", reason: str = "no magic") -> Poison:
    return Poison("shop.profile", 3, 7, 1_774_576_800_000, key, value, reason)


def size_of(letter: Poison) -> int:
    """What Kafka counts, at most: the batch's frame, and each header's lengths."""
    headers = sum(len(name) + len(value) + 10 for name, value in headers_of(letter))
    return 61 + 36 + len(letter.origin) + len(letter.value or b"") + headers


@given(
    st.sampled_from([0, 1, 1_000, 70_000, 1_048_400, 3_000_000]),
    st.sampled_from([None, 0, 5, 1_024, 1_025, 1_048_000, 2_000_000]),
    st.sampled_from(["why", "é" * 300, "\n" * 300]),
    st.sampled_from([SMALLEST, 64 << 10, KAFKA_TAKES]),
)
def test_a_letter_fits_whatever_the_event_its_key_and_its_reason(
    value: int, key: int | None, reason: str, most: int
) -> None:
    event = poison(bytes(value), None if key is None else bytes(key), reason_text(reason))

    letter = letter_within(event, most)

    assert size_of(letter) <= most
    assert identity_of(letter) == identity_of(event)
    if letter.part is None:
        assert letter == event
    else:
        assert letter.part == Part(value, hashlib.sha256(bytes(value)).hexdigest())
        assert (event.value or b"").startswith(letter.value or b"")
        assert size_of(event) > most - 100


def test_an_event_that_fits_goes_whole() -> None:
    event = poison(bytes(1_048_000))

    assert letter_within(event, KAFKA_TAKES) is event


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("field 'x': is missing", "field 'x': is missing"),
        ("no symbol 'a\nb\x1b[31m'", "no symbol 'a\\nb\\x1b[31m'"),
        ("no symbol '\ud800'", "no symbol '\\ud800'"),
        ("x" * 1_000_000, "x" * 299 + "…"),
        ("\n" * 1_000_000, ("\\n" * 150)[:299] + "…"),
    ],
    ids=["as it is", "control characters", "half a character", "long", "long when escaped"],
)
def test_a_reason_is_one_printable_line_of_bounded_length(reason: str, told: str) -> None:
    assert reason_text(reason) == told
    assert reason_text(told) == told
    told.encode()


class Refusing:
    """Refuses everything, for a reason that a writer's schema had a hand in."""

    def decode(self, values: pa.Array, keys: pa.Array) -> Refusing:
        self.refused = [_Refusal(index, "no symbol 'a\n" + "b" * 10_000) for index in range(2)]
        self.batch = pa.RecordBatch.from_pylist([])
        self.rows = ()
        return self


class _Refusal:
    def __init__(self, index: int, reason: str) -> None:
        self.index = index
        self.reason = reason


def test_what_letters_and_coverage_say_is_bounded(tmp_path: Path) -> None:
    letters = Letters()
    own = writer(tmp_path, letters)
    own._decoder = Refusing()  # type: ignore[assignment]

    own.write(Flush(TOPIC, (Chunk(0, 0, 2, (records(0, b"a", b"b"),)),)), TOPIC_ID)

    (path,) = Partitions(FolderStore(tmp_path)).coverage(owner())
    covered = Partitions(FolderStore(tmp_path)).record(path).dead_letters
    assert [one.reason for one in covered] == [one.reason for one in letters.sent]
    for one in covered:
        assert one.reason.startswith("no symbol 'a\\nbbb")
        assert len(one.reason) == 300


def test_a_record_that_was_too_large_to_read_is_a_dead_letter_with_what_is_known_of_it(
    tmp_path: Path,
) -> None:
    part = Part(400_000_000, hashlib.sha256(b"whole").hexdigest())
    large = part.marked(records(1, b"its first part"))
    letters = Letters()
    chunk = Chunk(0, 0, 3, (records(0, b"a"), large, records(2, b"c")))

    written = writer(tmp_path, letters).write(Flush(TOPIC, (chunk,)), TOPIC_ID)

    assert (written.rows, written.dead_letters) == (2, 1)
    (letter,) = letters.sent
    assert (letter.offset, letter.value, letter.part) == (1, b"its first part", part)
    assert letter.reason.startswith("the record has more than 8,388,608 bytes")
    assert letter_within(letter, KAFKA_TAKES) == letter
    (path,) = Partitions(FolderStore(tmp_path)).coverage(owner())
    covered = Partitions(FolderStore(tmp_path)).record(path).dead_letters
    assert [one.offset for one in covered] == [1]


def shown_of(event: Poison) -> Shown:
    own = topic(Kind.PROFILE)
    return Usable(OneSchema({}), {event.topic: own}, CATALOG).shown(event)


def test_show_says_that_a_letter_is_a_part_and_shows_none_of_its_bytes() -> None:
    whole = poison(PERSONAL * 100_000)
    letter = letter_within(whole, KAFKA_TAKES)

    shown = shown_of(letter)

    assert (shown.size, shown.kept, shown.fields) == (1_600_000, 65_536, None)
    assert shown.sha256 == hashlib.sha256(whole.value or b"").hexdigest()
    listed = Letter(*identity_of(letter), letter.reason, shown.size, is_part=True)
    told = "\n".join([*cli_dead_letters._shown(listed, shown), *cli_dead_letters._listed([listed])])
    assert "its first 65,536 bytes" in told
    assert "1,600,000 bytes (a part)" in told
    assert PERSONAL.decode() not in told


def test_where_a_reason_was_cut_any_field_may_be_the_one_that_it_is_about() -> None:
    own = topic(Kind.SUBSCRIPTION_UPDATE)
    value = written(Kind.SUBSCRIPTION_UPDATE, "CHANGED", subscription=PERSONAL.decode())
    usable = Usable(OneSchema(avro_schema(own, CATALOG)), {own.name: own}, CATALOG)
    event = replace(poison(value, reason=reason_text("x" * 1_000)), topic=own.name)

    fields = usable.shown(event).fields

    assert fields is not None
    assert fields["subscription"] == HIDDEN
    assert PERSONAL.decode() not in str(fields)
