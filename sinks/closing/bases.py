"""Bases: the state of a topic's ids at a cut. A close reads a base and only the rows since.

A base is a folder of Parquet files and a description, which is written last and created if absent.
A base never changes, apart from erasure of personal data in its tables. Its name carries a format
version; bases of other formats are not used. The state at a later cut is the base plus the rows
since (DESIGN, "Closing a window").
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final

import pyarrow as pa

from sinks.closing.cut import TopicCut
from sinks.instants import parse_stamp, stamp
from streams.storage.checked import create_checked, read_checked
from streams.storage.layout import TakenOutPath, TopicPartition
from streams.storage.parquet import parquet_writer, write_rows
from streams.storage.paths import StoredPath
from streams.storage.store import Store, is_stored
from streams.storage.taken_out import TakenOutRows

_FORMAT: Final = "v2"
_ROW_GROUP: Final = 64 * 1024  # small: a close skips groups that have no id of its window


@dataclass(frozen=True, slots=True)
class Base:
    """A base of a topic.

    cut: the topic's cut that it stands for. rows: how many rows each of its tables has. taken_out:
    the topic's rows that were taken out when it was made.
    """

    cut: TopicCut
    rows: Mapping[str, int]
    taken_out: frozenset[TakenOutPath] = frozenset()

    @property
    def name(self) -> str:
        """The name of the base, by which intents refer to it."""
        return stamp(self.cut.instant)


@dataclass(frozen=True, slots=True, order=True)
class BasePath(StoredPath):
    """Name of a base's description, which is written last: format, topic, and its own name."""

    TEMPLATE: ClassVar = "bases/{format}/{topic}/{base}/base.json"
    WHAT: ClassVar = "a base"

    format: str
    topic: str
    base: str


@dataclass(frozen=True, slots=True, order=True)
class BaseTable(StoredPath):
    """Name of a file of a base: its format, topic, the base's own name, and the table."""

    TEMPLATE: ClassVar = "bases/{format}/{topic}/{base}/{table}.parquet"
    WHAT: ClassVar = "a table of a base"

    format: str
    topic: str
    base: str
    table: str


class Bases:
    """The bases in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def write(
        self,
        cut: TopicCut,
        tables: Mapping[str, Callable[[], pa.RecordBatchReader]],
        taken_out: Sequence[TakenOutPath] = (),
    ) -> Base:
        """Write a base, its tables one after the other; an existing description stays."""
        rows = {}
        for table, read in tables.items():
            counted = _Counted(read())
            name = BaseTable(_FORMAT, cut.topic, stamp(cut.instant), table)
            self._store.write(str(name), counted.write)
            rows[table] = counted.rows
        description = {"cut": json.loads(cut.to_json()), "rows": rows}
        if taken_out:
            description["taken_out"] = list(map(str, taken_out))
        base = Base(cut, rows, frozenset(taken_out))
        path = BasePath(_FORMAT, cut.topic, base.name)
        create_checked(self._store, str(path), json.dumps(description).encode())
        return base

    def latest(self, topic: str, not_after: dt.datetime) -> Base | None:
        """Return the newest usable base of a topic at or before an instant; None if there is none.

        A base isn't usable if one of its rows was taken out after it was made.
        """
        names = [name for name in self._names(topic) if parse_stamp(name) <= not_after]
        bases = (self.base(topic, name) for name in sorted(names, reverse=True))
        return next((base for base in bases if self._is_valid(base)), None)

    def _is_valid(self, base: Base) -> bool:
        cut = base.cut
        ends = {
            TopicPartition(cut.topic, cut.topic_id, number): end
            for number, end in enumerate(cut.offsets)
        }
        return base.taken_out.issuperset(TakenOutRows(self._store).within(ends))

    def base(self, topic: str, name: str) -> Base:
        """Return a base by its name; raises FileNotFoundError if there is none."""
        path = BasePath(_FORMAT, topic, name)
        return read_checked(self._store, str(path), partial(_described, path), kind="this base")

    def table(self, topic: str, name: str, table: str) -> str:
        """Return the file name of a base's table."""
        return str(BaseTable(_FORMAT, topic, name, table))

    def tables(self) -> Iterator[BaseTable]:
        """Yield every file of a table in every base, including unfinished bases."""
        return BaseTable.among(self._store.names(BaseTable.folder()))

    def is_usable(self, table: BaseTable) -> bool:
        """Whether a table's base is finished and of the current format."""
        base = BasePath(table.format, table.topic, table.base)
        return table.format == _FORMAT and is_stored(self._store, str(base))

    def _names(self, topic: str) -> Iterator[str]:
        paths = BasePath.among(self._store.names(BasePath.folder(_FORMAT, topic)))
        return (path.base for path in paths)


def _described(path: BasePath, content: bytes) -> Base:
    fields = json.loads(content)
    cut = TopicCut.from_json(path.topic, parse_stamp(path.base), json.dumps(fields["cut"]).encode())
    taken_out = frozenset(map(TakenOutPath.parse, fields.get("taken_out", ())))
    return Base(cut, fields["rows"], taken_out)


class _Counted:
    """Writes a reader's rows to Parquet and counts them."""

    def __init__(self, reader: pa.RecordBatchReader) -> None:
        self._reader = reader
        self.rows = 0

    def write(self, file: object) -> None:
        with parquet_writer(file, self._reader.schema) as writer:
            for batch in self._reader:
                self.rows += batch.num_rows
                write_rows(writer, batch, _ROW_GROUP)
