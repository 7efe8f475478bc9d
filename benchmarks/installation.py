"""An installation whose topics are written straight as stream files and coverage records, as a
worker would, with cuts where the data says: closes can be timed without Kafka.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.derive import arrow_schema
from schemas.settings.settings import CloseSettings, Settings
from schemas.topics import Topic
from sinks.closing.append_runs import Runs
from sinks.closing.cut import Cuts
from sinks.closing.offsets import OffsetAtTime
from sinks.setup import Sinks
from streams.reading.kafka import TopicIdentity
from streams.storage.batch_names import new_batch
from streams.storage.coverage import CoverageRecord
from streams.storage.layout import CoveragePath, TopicPartition
from streams.storage.stream import builtin_streams
from streams.storage.stream_files import META, write_files

Ints = npt.NDArray[np.int64]

Columns = Mapping[str, pa.Array]
"""Columns of a batch: those of the topic that aren't null, and `_appended_at` and `key`."""

MS_PER_DAY: Final = 86_400_000
DAY: Final = dt.timedelta(days=1)
CLOSE: Final = dt.datetime(2026, 3, 3, 6, tzinfo=dt.UTC)
START: Final = CLOSE - DAY
START_MS: Final = int(START.timestamp() * 1000)
_PARTITIONS: Final = 6
BATCH_ROWS: Final = 330_000  # what a batch of 64 MiB holds of small events
_TOPIC_ID: Final = UUID(int=4)
_TABLES: Final = Path(__file__).parent.parent / "deploy" / "demo" / "tables"


def settings(root: Path) -> Settings:
    """The settings of an installation below a folder."""
    return Settings(
        root=root / "var",
        tables=_TABLES,
        exports=root / "exports",
        streams=root / "streams.d",
        close=CloseSettings(wait_seconds=5),
    )


@dataclass(slots=True)
class Installation:
    """An installation that is being filled."""

    sinks: Sinks
    _cuts: dict[str, dict[dt.datetime, tuple[int, ...]]] = field(default_factory=dict)

    @classmethod
    def below(cls, root: Path, exports: Mapping[str, str]) -> Installation:
        """Begin one below an empty folder. exports: YAML by name."""
        (root / "exports").mkdir(parents=True)
        for name, text in exports.items():
            (root / "exports" / f"{name}.yaml").write_text(text)
        return cls(Sinks.of(settings(root)))

    @property
    def prefix(self) -> str:
        """How its topics' names begin."""
        return self.sinks.settings.kafka.topic_prefix

    def fill(self, topic: Topic, until: Mapping[dt.datetime, Iterable[Columns]]) -> None:
        """Write a topic: what came until each instant, where its cut will be."""
        writer = _Writer(self.sinks, topic)
        cuts = self._cuts.setdefault(topic.name, {})
        for instant, batches in until.items():
            for columns in batches:
                writer.write(columns)
            cuts[instant] = tuple(writer.next)

    def take_cuts(self) -> None:
        """Take the cuts of all topics, in order of time."""
        partitions = self.sinks.streams.partitions
        offsets = _Offsets(self._cuts)
        cuts = Cuts(partitions.store, _Identities(), offsets, partitions)  # type: ignore[arg-type]
        for instant in sorted({instant for known in self._cuts.values() for instant in known}):
            cuts.take([name for name, known in self._cuts.items() if instant in known], instant)


class _Identities:
    """Says of every topic what its cuts ask for."""

    def identities(self, names: Sequence[str]) -> dict[str, TopicIdentity]:
        return {name: TopicIdentity(name, _TOPIC_ID, _PARTITIONS) for name in names}


@dataclass(frozen=True, slots=True)
class _Offsets:
    """Where the cuts are: topic → instant → offsets."""

    known: Mapping[str, Mapping[dt.datetime, tuple[int, ...]]]

    def at(self, topic: str, partitions: int, instant_ms: int) -> Sequence[OffsetAtTime]:
        """See sinks.closing.offsets.Offsets."""
        instant = dt.datetime.fromtimestamp(instant_ms / 1000, dt.UTC)
        return [OffsetAtTime(offset, 0, offset) for offset in self.known[topic][instant]]

    def runs(self, topic: str, partition: int, first: int, end: int) -> Runs:
        """See sinks.closing.offsets.Offsets: all that there is lies before the cuts."""
        raise AssertionError("nothing lies behind these cuts")


class _Writer:
    """Writes batches of a topic as a worker would, with the next offsets of each partition."""

    def __init__(self, sinks: Sinks, topic: Topic) -> None:
        self.next = [0] * _PARTITIONS
        self._partitions = sinks.streams.partitions
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
        files = write_files(self._partitions.store, rows, self._streams, batch)
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


def header(
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
        "occurredAt": moments(appended - randomness.integers(0, 3_600_000, rows)),
        "_appended_at": moments(appended),
    }


def moments(milliseconds: Ints, mask: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """Moments; null where the mask says so."""
    return pa.array(milliseconds, pa.int64(), mask=mask).cast(pa.timestamp("ms", tz="UTC"))


def pieces(ids: Ints, rows: int = BATCH_ROWS) -> Iterator[Ints]:
    """Cut ids into what a batch holds."""
    for start in range(0, len(ids), rows):
        yield ids[start : start + rows]
