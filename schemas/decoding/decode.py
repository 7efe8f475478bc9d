"""Decoder of Kafka values: Arrow columns for a batch of events of one topic, and a reason for each
value that can't be used (SPEC §6).

Whatever its bytes are, a value never raises an exception: it is decoded or refused. The writer's
schema is looked up by the id in the value. If the lookup isn't possible now (RegistryError), the
whole call fails without a verdict on any value; call again later.
"""

from __future__ import annotations

import traceback
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import structlog

from schemas.avro_types import MOST_VALUES, InvalidSchemaError, RecordType, json_values, parse_type
from schemas.decoding.columnar import PADDING, BoolArray, Cursor, Flags, IntArray, Windows
from schemas.decoding.contract import Contract
from schemas.decoding.defaults import default_array
from schemas.decoding.nodes import Record
from schemas.decoding.resolve import UnresolvableError, compile_record
from schemas.derive import AvroSchema, arrow_schema, avro_schema, record_name
from schemas.errors import UnknownSchemaError, UnusableSchemaError
from schemas.registry.registry import MAGIC, WIRE_HEADER, SchemaSource, SchemaSources
from schemas.tables import Catalog
from schemas.topics import Topic

__all__ = ["Decoded", "Decoder", "RecordDecoder", "Refused"]

log = structlog.get_logger(__name__)

_CHUNK_ROWS = 32_768
"""Values decoded at once: few enough that their vectors stay in the processor's cache."""

Values: TypeAlias = Sequence[bytes | None] | pa.BinaryArray
"""Values or keys as in Kafka; an Arrow array is read in place."""

_TOMBSTONE = "null value (a tombstone)"

_MOST_PLANS = 1_000
"""Cached plans of writers' schemas; the least recently used leave first."""

_CHUNK_BYTES = 8 << 20
"""Bytes decoded at once, at most. Intermediate data takes up to ten times as many, where each item
of a list has one byte.
"""


@dataclass(frozen=True, slots=True)
class Refused:
    """A value that can't be used: its index in the input, and why."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded batch.

    batch: the topic's columns. rows: for each row of the batch, the index of its value in the
    input, ascending. refused: the other values, ascending. Each index of the input is in exactly
    one of `rows` and `refused`.
    """

    batch: pa.RecordBatch
    rows: npt.NDArray[np.int64]
    refused: tuple[Refused, ...]


class RecordDecoder:
    """Decoder of values with any record schema, looked up by id; it doesn't know events."""

    def __init__(self, registry: SchemaSource, reader: AvroSchema, columns: pa.Schema) -> None:
        """Make a decoder; reader: the record schema to decode to; columns: its Arrow schema."""
        self._registry = registry
        read = parse_type(reader, most_values=None)
        assert isinstance(read, RecordType)
        self._reader = read
        # A writer's schema with all fields of a large reader's schema must fit the bound.
        self._most_values = max(MOST_VALUES, 4 * sum(1 for _ in json_values(reader)))
        self._columns = columns
        self._plans: OrderedDict[int, Record | str] = OrderedDict()

    def decode(self, values: Values, flags: Flags) -> tuple[pa.RecordBatch, IntArray]:
        """(rows that can be decoded, their indexes in the input); others are refused in `flags`.

        Raises RegistryError if a schema can't be looked up now.
        """
        parts: list[_Part] = []
        present, length = _measured(values, flags)
        for start, stop in _slices(length):
            joined = _Joined.of(present[start:stop], length[start:stop], start)
            by_schema = joined.by_schema(flags)
            if isinstance(self._registry, SchemaSources):
                self._registry.look_up(
                    schema_id for schema_id, _ in by_schema if schema_id not in self._plans
                )
            for schema_id, rows in by_schema:
                plan = self._plan(schema_id)
                if isinstance(plan, str):
                    flags.refuse(rows, plan)
                else:
                    parts += _parts(plan, joined, rows, flags)
        return self._assembled(parts)

    def _plan(self, schema_id: int) -> Record | str:
        """The nodes that read datums of a writer's schema, or the reason why none can be read."""
        plan = self._plans.get(schema_id)
        if plan is None:
            try:
                writer = self._registry.schema(schema_id)
            except UnknownSchemaError:
                return f"unknown schema id {schema_id}"
            except UnusableSchemaError as error:
                return error.what
            plan = self._plans[schema_id] = self._planned(writer, schema_id)
            while len(self._plans) > _MOST_PLANS:
                self._plans.popitem(last=False)
        self._plans.move_to_end(schema_id)
        return plan

    def _planned(self, writer: AvroSchema, schema_id: int) -> Record | str:
        try:
            written = parse_type(writer, self._most_values)
            if not isinstance(written, RecordType) or written.name != self._reader.name:
                name = record_name(writer) or type(written).__name__.removesuffix("Type").lower()
                return f"schema {schema_id} is of another record ({name})"
            return compile_record(written, self._reader, default_array)
        except InvalidSchemaError as error:
            return f"schema {schema_id} isn't valid Avro: {error}"
        except UnresolvableError as error:
            return f"schema {schema_id} can't be read here: {error}"
        except MemoryError:
            raise  # the worker's fault, not the schema's
        except Exception as error:
            log.error("schema not planned", schema_id=schema_id, error=_place(error))
            return f"schema {schema_id} can't be read here ({type(error).__name__})"

    def _assembled(self, parts: list[_Part]) -> tuple[pa.RecordBatch, IntArray]:
        batches = [pa.RecordBatch.from_arrays(part.arrays, schema=self._columns) for part in parts]
        if not batches:
            empty = [pa.nulls(0, kind) for kind in self._columns.types]
            return pa.RecordBatch.from_arrays(empty, schema=self._columns), np.zeros(0, np.int64)
        rows = np.concatenate([part.rows for part in parts])
        batch = pa.concat_batches(batches) if len(batches) > 1 else batches[0]
        if (rows[1:] < rows[:-1]).any():
            order = np.argsort(rows, kind="stable")
            batch, rows = batch.take(pa.array(order)), rows[order]
        return batch, rows


class Decoder:
    """Decoder of one topic: decodes values and checks them against the contract of their kind."""

    def __init__(self, registry: SchemaSource, topic: Topic, catalog: Catalog) -> None:
        columns = arrow_schema(topic, catalog)
        self._records = RecordDecoder(registry, avro_schema(topic, catalog), columns)
        self._contract = Contract(topic, catalog)

    def decode(self, values: Values, keys: Values) -> Decoded:
        """Decode a batch of values with their keys, in the same order.

        Raises RegistryError if a schema can't be looked up now. The bytes never raise an error.
        """
        flags = Flags(len(values))
        missing = _missing(keys)
        if missing.size:
            flags.refuse(missing, "null key")
        batch, rows = self._records.decode(values, flags)
        batch = self._contract.check(batch, rows, flags)
        good = flags.good[rows]
        if not good.all():
            batch, rows = batch.filter(pa.array(good)), rows[good]
        return Decoded(batch, rows, tuple(Refused(row, reason) for row, reason in flags.refused()))


def _place(error: Exception) -> str:
    """The error's class and place in the code, without its message, which may quote an event."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {frame.name}, {Path(frame.filename).name}:{frame.lineno}"


def _parts(plan: Record, joined: _Joined, rows: IntArray, flags: Flags) -> list[_Part]:
    """Read the datums of `rows`.

    If reading fails with an unexpected error, the rows are halved until the datum that causes it is
    found. Only that datum is refused.
    """
    try:
        return [_read(plan, joined, rows, flags)]
    except MemoryError:
        raise  # the worker's fault, not the event's
    except Exception as error:
        if len(rows) == 1:
            log.error("event not read", error=_place(error))
            flags.refuse(rows, f"can't be read ({type(error).__name__})")
            return []
        middle = len(rows) // 2
        return [
            part
            for half in (rows[:middle], rows[middle:])
            for part in _parts(plan, joined, half, flags)
        ]


def _read(plan: Record, joined: _Joined, rows: IntArray, flags: Flags) -> _Part:
    cursor = joined.cursor(rows, flags)
    arrays = plan.columns(cursor)
    cursor.refuse(cursor.position != cursor.end, "bytes left over after the datum")
    return _Part(rows, arrays).only(flags.good[rows])


@dataclass(frozen=True, slots=True)
class _Part:
    """Decoded rows: their indexes in the input and their columns."""

    rows: IntArray
    arrays: list[pa.Array]

    def only(self, good: BoolArray) -> _Part:
        if good.all():
            return self
        mask = pa.array(good)
        return _Part(self.rows[good], [array.filter(mask) for array in self.arrays])


_MOST_IDS = 1 << 31


@dataclass(frozen=True, slots=True)
class _Joined:
    """Values of a batch joined in one buffer.

    start, end: where each value begins and ends in the buffer, its wire header included; offset:
    the index of the first value in the batch.
    """

    windows: Windows
    start: IntArray
    end: IntArray
    offset: int

    @classmethod
    def of(cls, values: Sequence[bytes] | pa.BinaryArray, length: IntArray, offset: int) -> _Joined:
        """Join `values`: those from index `offset` of the batch on, with their lengths in bytes."""
        padding = b"\0" * PADDING
        end = np.cumsum(length) + PADDING
        joined = b"".join((padding, *_pieces(values), padding))
        return cls(Windows.over(joined), end - length, end, offset)

    def by_schema(self, flags: Flags) -> list[tuple[int, IntArray]]:
        """(schema id, rows) of all values that have a wire header and aren't refused yet."""
        rows = np.arange(len(self.start)) + self.offset
        flags.refuse(
            rows[self.end - self.start < WIRE_HEADER],
            f"shorter than its header of {WIRE_HEADER} bytes",
        )
        flags.refuse(rows[self.windows.byte[self.start] != MAGIC], "no magic byte")
        rows = rows[flags.good[rows]]
        ids = self.windows.of(">u4")[self.start[rows - self.offset] + 1].astype(np.int64)
        negative = ids >= _MOST_IDS
        flags.refuse(rows[negative], "unknown schema id (negative)")
        return _grouped(ids[~negative], rows[~negative])

    def cursor(self, rows: IntArray, flags: Flags) -> Cursor:
        """A cursor at the datums of `rows`."""
        local = rows - self.offset
        return Cursor(
            self.windows, rows, self.start[local] + WIRE_HEADER, self.end[local].copy(), flags
        )


def _pieces(values: Sequence[bytes] | pa.BinaryArray) -> Sequence[bytes | memoryview]:
    """The pieces to join; an Arrow array is one piece, as its values are contiguous already."""
    if not isinstance(values, pa.BinaryArray):
        return values
    ends = _ends(values)
    data = values.buffers()[2]
    return [memoryview(data)[ends[0] : ends[-1]]] if data is not None else []


def _ends(values: pa.BinaryArray) -> npt.NDArray[np.int32]:
    """The offsets of an Arrow array: where its first value begins, then where each value ends."""
    if not len(values):
        return np.zeros(1, np.int32)
    ends = np.frombuffer(values.buffers()[1], np.int32)
    return ends[values.offset : values.offset + len(values) + 1]


def _measured(values: Values, flags: Flags) -> tuple[Sequence[bytes] | pa.BinaryArray, IntArray]:
    """(values, their lengths in bytes); null values are refused, and replaced by empty ones."""
    if isinstance(values, pa.BinaryArray):
        flags.refuse(_nulls(values), _TOMBSTONE)
        return values, np.diff(_ends(values)).astype(np.int64)
    try:
        return values, np.fromiter(map(len, values), np.int64, len(values))
    except TypeError:
        flags.refuse(np.flatnonzero([value is None for value in values]), _TOMBSTONE)
        return _measured([value or b"" for value in values], flags)


def _slices(length: IntArray) -> Iterator[tuple[int, int]]:
    """Ranges of at most _CHUNK_ROWS values and _CHUNK_BYTES bytes; a larger value stands alone."""
    ends = np.cumsum(length)
    start = 0
    while start < len(length):
        before = ends[start - 1] if start else 0
        within = int(np.searchsorted(ends, before + _CHUNK_BYTES, side="right"))
        stop = max(start + 1, min(within, start + _CHUNK_ROWS))
        yield start, stop
        start = stop


def _grouped(keys: IntArray, rows: IntArray) -> list[tuple[int, IntArray]]:
    """(key, rows) for each key; rows stay in order."""
    if not len(keys):
        return []
    if (keys == keys[0]).all():
        return [(int(keys[0]), rows)]
    order = np.argsort(keys, kind="stable")
    found, starts = np.unique(keys[order], return_index=True)
    return list(zip(map(int, found), np.split(rows[order], starts[1:]), strict=True))


def _nulls(values: pa.BinaryArray) -> IntArray:
    return np.flatnonzero(values.is_null()) if values.null_count else np.zeros(0, np.int64)


def _missing(keys: Values) -> IntArray:
    """The indexes of null keys."""
    if isinstance(keys, pa.BinaryArray):
        return _nulls(keys)
    if all(keys):
        return np.zeros(0, np.int64)
    return np.flatnonzero([key is None for key in keys])
