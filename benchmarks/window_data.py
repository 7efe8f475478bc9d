"""The data of the close that is timed, written straight as stream files and coverage records.

A day of first openings: openings and clicks of interactions, some of which earlier windows saw;
300,000 profiles, of whom some go; 200 campaigns, of which some don't count. What came before the
window is in bases, made as deltadrop makes them. No Kafka is needed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.derive import arrow_schema
from schemas.events import Kind
from schemas.settings import CloseSettings, Settings
from schemas.topics import Topic
from sinks.cut import Cuts, Found
from sinks.setup import Sinks
from streams.coverage import CoverageRecord
from streams.kafka import TopicIdentity
from streams.layout import CoveragePath, TopicPartition
from streams.partitions import META, Partitions
from streams.records import new_batch
from streams.stream import builtin_streams

Ints = npt.NDArray[np.int64]

CLOSE: Final = dt.datetime(2026, 3, 3, 6, tzinfo=dt.UTC)
_START: Final = CLOSE - dt.timedelta(days=1)
_MS_PER_DAY: Final = 86_400_000
_START_MS: Final = int(_START.timestamp() * 1000)
_PARTITIONS: Final = 6
_BATCH_ROWS: Final = 330_000  # what a batch of 64 MiB holds of these
_TOPIC_ID: Final = UUID(int=4)
_PROJECT: Final = Path(__file__).parent.parent
_EXPORT: Final = """\
export: {name}
entity: marketing
database: shop
type: email-activities
event: OPENED
suffix: "_yyyyMMdd"
file: {{compression: {compression}}}
schedule: {{at: "06:00", time_zone: UTC}}
"""
EXPORTS: Final = {"openings-plain": "none", "openings-gzip": "gzip"}


@dataclass(frozen=True, slots=True)
class WindowScale:
    """Rows in the window, profiles, campaigns, and openings and clicks before the window."""

    rows: int = 2_000_000
    profiles: int = 300_000
    campaigns: int = 200
    earlier: int = 4_000_000


def settings(root: Path) -> Settings:
    """The settings of an installation below a folder."""
    tables = _PROJECT / "deploy" / "demo" / "tables"
    return Settings(
        root=root / "var",
        tables=tables,
        exports=root / "exports",
        streams=root / "streams.d",
        close=CloseSettings(wait_seconds=5),
    )


def prepare(root: Path, scale: WindowScale) -> None:
    """Write stream files, coverage, cuts and bases below a folder; the same for the same scale."""
    (root / "exports").mkdir(parents=True)
    for name, compression in EXPORTS.items():
        text = _EXPORT.format(name=name, compression=compression)
        (root / "exports" / f"{name}.yaml").write_text(text)
    sinks = Sinks.of(settings(root))
    prefix = sinks.settings.kafka.topic_prefix
    randomness = np.random.default_rng(20)
    offsets = _Offsets({})
    for kind, before, after in (
        (Kind.CAMPAIGN, _campaigns(scale), ()),
        (Kind.PROFILE, _profiles(scale), _departures(scale, randomness)),
        (Kind.EMAIL_ACTIVITY, *_activities(scale, randomness)),
    ):
        topic = Topic(kind, None if kind is Kind.CAMPAIGN else "shop", prefix=prefix)
        writer = _Writer(sinks.streams.partitions, topic, sinks)
        for columns in before:
            writer.write(columns)
        starts = tuple(writer.next)
        for columns in after:
            writer.write(columns)
        offsets.known[topic.name] = {_START: starts, CLOSE: tuple(writer.next)}
    store = sinks.streams.partitions.store
    cuts = Cuts(store, _Identities(), offsets, sinks.streams.partitions)  # type: ignore[arg-type]
    for instant in (_START, CLOSE):
        cuts.take(list(offsets.known), instant)
    sinks.rebase.remake_where_due([Topic.parse(name, prefix) for name in offsets.known], _START)


class _Identities:
    """Says of every topic what its cuts ask for."""

    def identities(self, names: Sequence[str]) -> dict[str, TopicIdentity]:
        return {name: TopicIdentity(name, _TOPIC_ID, _PARTITIONS) for name in names}


@dataclass(frozen=True, slots=True)
class _Offsets:
    """Where the cuts are: topic → instant → offsets."""

    known: dict[str, dict[dt.datetime, tuple[int, ...]]]

    def at(self, topic: str, partitions: int, instant_ms: int) -> Sequence[Found]:
        """See sinks.cut.Offsets."""
        instant = dt.datetime.fromtimestamp(instant_ms / 1000, dt.UTC)
        return [Found(offset, sure=True) for offset in self.known[topic][instant]]


Columns = Mapping[str, pa.Array]
"""Columns of a batch: those of the topic that aren't null, and `_appended_at` and `key`."""


class _Writer:
    """Writes batches of a topic as a worker would, with the next offsets of each partition."""

    def __init__(self, partitions: Partitions, topic: Topic, sinks: Sinks) -> None:
        self.next = [0] * _PARTITIONS
        self._partitions = partitions
        self._topic = topic.name
        self._streams = builtin_streams([topic])
        self._schema = pa.schema([*arrow_schema(topic, sinks.streams.catalog), *META])

    def write(self, columns: Columns) -> None:
        """Write one batch; rows are in order of append."""
        partition = columns["key"].to_numpy() % _PARTITIONS
        order = np.argsort(partition, kind="stable")
        counts = np.bincount(partition, minlength=_PARTITIONS)
        starts = list(self.next)
        self.next = [start + int(count) for start, count in zip(starts, counts, strict=True)]
        offsets = np.concatenate(
            [np.arange(first, end) for first, end in zip(starts, self.next, strict=True)]
        )
        own = {
            **{name: column.take(pa.array(order)) for name, column in columns.items()},
            "_partition": pa.array(partition[order], pa.int32()),
            "_offset": pa.array(offsets),
        }
        rows = pa.Table.from_arrays(
            [_column(own, field, len(order)) for field in self._schema], schema=self._schema
        )
        batch = new_batch()
        files = self._partitions.write_files(rows, self._streams, batch)
        appended = columns["_appended_at"].cast(pa.int64()).to_numpy()
        for number, (first, end) in enumerate(zip(starts, self.next, strict=True)):
            owner = TopicPartition(self._topic, _TOPIC_ID, number)
            self._partitions.write_coverage(
                CoverageRecord(
                    CoveragePath(owner, first, end, batch),
                    {stream.name: stream.fingerprint for stream in self._streams},
                    tuple(f.as_seen_by(number) for f in files if number in f.rows),
                    (),
                    (int(appended.min()), int(appended.max())),
                )
            )


def _column(columns: Columns, field: pa.Field, rows: int) -> pa.Array:
    column = columns.get(field.name)
    if column is None:
        return pa.nulls(rows, field.type)
    return column if column.type == field.type else column.cast(field.type)


def _campaigns(scale: WindowScale) -> Iterator[Columns]:
    ids = np.arange(1, scale.campaigns + 1)
    ended = ids % 10 == 0  # a tenth counts no more
    names = [f"campaign {number}" for number in ids]
    yield {
        **_header(ids, "CREATED", _START_MS - 50 * _MS_PER_DAY + ids, np.random.default_rng(1)),
        "campaignId": pa.array(ids),
        "name": pa.array(names),
        "technicalName": pa.array([f"{name.replace(' ', '_')}_a1" for name in names]),
        "channel": pa.array(["EMAIL"] * len(ids)),
        "campaignKind": pa.array(["SCENARIZED"] * len(ids)),
        "state": pa.array(np.where(ended, "FINISHED", "ACTIVE")),
        "engine": pa.array(["CURRENT"] * len(ids)),
        "finishedAt": _moments(np.full(len(ids), _START_MS - 40 * _MS_PER_DAY), ~ended),
        "subscription": pa.array(["newsletter"] * len(ids)),
    }


def _profiles(scale: WindowScale) -> Iterator[Columns]:
    randomness = np.random.default_rng(2)
    for ids in _pieces(np.arange(1, scale.profiles + 1)):
        appended = _START_MS - 40 * _MS_PER_DAY + ids
        yield {
            **_header(ids, "CREATED", appended, randomness),
            "profileId": pa.array(ids),
            "attributes": _attributes(ids),
            "marketingConsent": pa.array(ids % 3 > 0),
        }


def _attributes(ids: Ints) -> pa.Array:
    numbers = [str(number) for number in ids]
    texts = {
        "customerId": [f"C{number}" for number in numbers],
        "emailAddress": [f"customer.{number}@example.com" for number in numbers],
        "firstName": [f"First {number}" for number in numbers],
        "lastName": [f"Last {number}" for number in numbers],
        "city": [f"City {number[-2:]}" for number in numbers],
        "country": ["BE"] * len(numbers),
    }
    return pa.StructArray.from_arrays([pa.array(text) for text in texts.values()], list(texts))


def _departures(scale: WindowScale, randomness: np.random.Generator) -> Iterator[Columns]:
    """Deletions in the window: one profile in fifty."""
    ids = np.flatnonzero(randomness.random(scale.profiles) < 0.02) + 1
    appended = np.sort(_START_MS + randomness.integers(0, _MS_PER_DAY, len(ids)))
    yield {**_header(ids, "DELETED", appended, randomness), "profileId": pa.array(ids)}


def _activities(
    scale: WindowScale, randomness: np.random.Generator
) -> tuple[Iterator[Columns], Iterator[Columns]]:
    """Openings and clicks before the window and in it; some interactions are in both."""
    fresh = scale.rows * 3 // 4  # so some interactions have several openings and clicks
    known = fresh // 10
    earlier = randomness.integers(-scale.earlier, known, scale.earlier) + fresh
    earlier_at = (
        _START_MS
        - 30 * _MS_PER_DAY
        + np.sort(randomness.integers(0, 27 * _MS_PER_DAY, scale.earlier))
    )
    now = randomness.integers(fresh - known, 2 * fresh - known, scale.rows) + known
    now_at = _START_MS + np.sort(randomness.integers(0, _MS_PER_DAY, scale.rows))
    return (
        _openings_and_clicks(earlier, earlier_at, scale, randomness),
        _openings_and_clicks(now, now_at, scale, randomness),
    )


def _openings_and_clicks(
    interactions: Ints, appended: Ints, scale: WindowScale, randomness: np.random.Generator
) -> Iterator[Columns]:
    interactions = interactions + 2 * scale.earlier
    links = pa.array([f"https://www.example.com/products/{n}?utm_source=mail" for n in range(3000)])
    names = pa.array([f"product {n}" for n in range(3000)])
    addresses = pa.array([f"customer.{n}@example.com" for n in range(scale.profiles + 1)])
    for start in range(0, len(interactions), _BATCH_ROWS):
        ids = interactions[start : start + _BATCH_ROWS]
        clicked = randomness.random(len(ids)) < 0.2
        link = pa.array(randomness.integers(0, len(links), len(ids)), mask=~clicked)
        profiles = ids * 2_654_435_761 % scale.profiles + 1
        events = _header(
            ids,
            np.where(clicked, "CLICKED", "OPENED"),
            appended[start : start + _BATCH_ROWS],
            randomness,
        )
        yield {
            **events,
            "interactionId": pa.array(ids),
            "campaignId": pa.array(ids * 40_503 % scale.campaigns + 1),
            "profileId": pa.array(profiles),
            "emailAddress": addresses.take(pa.array(profiles)),
            "abVersion": pa.array(np.where(ids % 2, "A", "B")),
            "subscription": pa.array(np.where(ids % 3, "newsletter", "offers"), mask=ids % 7 == 0),
            "clickedUrl": links.take(link),
            "clickedUrlName": names.take(link),
        }


def _header(
    keys: Ints,
    event_type: str | npt.NDArray[np.str_],
    appended: Ints,
    randomness: np.random.Generator,
) -> Columns:
    """What every event has: one in a thousand is a repeat, and facts are up to an hour old."""
    rows = len(keys)
    ids = randomness.integers(0, 256, (rows, 16), dtype=np.uint8)
    repeats = np.arange(1000, rows, 1000)
    ids[repeats] = ids[repeats - 1]
    storage = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), rows, [None, pa.py_buffer(ids.tobytes())]
    )
    event_types = np.full(rows, event_type) if isinstance(event_type, str) else event_type
    return {
        "key": pa.array(keys),
        "eventId": pa.ExtensionArray.from_storage(pa.uuid(), storage),
        "eventType": pc.dictionary_encode(pa.array(event_types)),
        "database": pa.array(["shop"] * rows),
        "source": pc.dictionary_encode(pa.array(["AUTOMATION"] * rows)),
        "occurredAt": _moments(appended - randomness.integers(0, 3_600_000, rows)),
        "_appended_at": _moments(appended),
    }


def _moments(milliseconds: Ints, mask: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    return pa.array(milliseconds, pa.int64(), mask=mask).cast(pa.timestamp("ms", tz="UTC"))


def _pieces(ids: Ints) -> Iterator[Ints]:
    for start in range(0, len(ids), _BATCH_ROWS):
        yield ids[start : start + _BATCH_ROWS]
