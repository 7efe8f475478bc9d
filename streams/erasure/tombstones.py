"""Tombstones: which profiles were deleted, and when. Writers of their events use them to empty
these.

An erase pass records the deletions that it finds in one file, created if absent. Files are
numbered, and the latest file about a profile counts. By SPEC §3 (*People who are gone*) a fact is
*gone* in three cases. The profile's latest deletion was appended at or after it. Or the fact
occurred at or before that deletion. Or nothing was recorded of the profile since. The latest
deletion is the one that occurred last (*Readings settled*). If it was recorded only after another
life had begun, the profile's own events of this life stay.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, TypeAlias
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from streams.storage.paths import StoredPath
from streams.storage.store import Store

__all__ = [
    "NOWHERE",
    "TOMBSTONES",
    "DeletionFacts",
    "FoundTombstones",
    "Mask",
    "TombstoneFiles",
    "Tombstones",
    "TombstonesPath",
]

Mask: TypeAlias = npt.NDArray[np.bool_]
Integers: TypeAlias = npt.NDArray[np.int64]

TOMBSTONES: Final = pa.schema(
    [
        ("profileId", pa.int64()),
        ("appended_at", pa.int64()),  # UTC milliseconds, of the latest deletion
        ("occurred_at", pa.int64()),  # UTC milliseconds, of the same deletion
        ("partition", pa.int64()),  # its place in the profile topic
        ("offset", pa.int64()),
        ("revived", pa.bool_()),  # whether another life has begun since
        ("life_appended_at", pa.int64()),  # UTC milliseconds, of the event that began this life,
        ("life_partition", pa.int64()),  # if appended before the deletion; else all three NOWHERE
        ("life_offset", pa.int64()),
    ]
)
"""Columns of a file of tombstones: each row has all that is known of one profile's deletions. Files
of older releases lack the last three.
"""

NOWHERE: Final = -1
"""Stands for a missing position, and for the time of a missing event."""

_LIFE: Final = ("life_appended_at", "life_partition", "life_offset")

_METADATA: Final = b"deltadrop"


@dataclass(frozen=True, slots=True, order=True)
class TombstonesPath(StoredPath):
    """Name of a file of tombstones: the deletions in a profile topic that one erase pass found."""

    TEMPLATE: ClassVar = "erasure/tombstones/{topic}/{number:020d}.parquet"
    WHAT: ClassVar = "a file of tombstones"

    topic: str
    number: int


@dataclass(frozen=True, slots=True)
class DeletionFacts:
    """Rows to be judged: whose they are, and when they were appended and occurred (UTC ms).

    nobodys: flags of rows without a profile, which are never gone. positions: partitions and
    offsets in the profile topic with this id. For a profile's own events the order of appending
    decides, not the clock.
    """

    profile_ids: Integers
    appended_at: Integers
    occurred_at: Integers
    nobodys: Mask
    positions: tuple[UUID, Integers, Integers] | None = None


@dataclass(frozen=True, slots=True)
class FoundTombstones:
    """The result of a pass in a profile topic. looked_up_to: the next offset, by partition."""

    topic_id: UUID
    looked_up_to: Mapping[int, int]
    rows: pa.Table  # by TOMBSTONES

    def to_bytes(self) -> bytes:
        """Serialise as Parquet."""
        search = {"topic_id": str(self.topic_id), "looked_up_to": sorted(self.looked_up_to.items())}
        sink = pa.BufferOutputStream()
        schema = TOMBSTONES.with_metadata({_METADATA: json.dumps(search).encode()})
        pq.write_table(self.rows.cast(schema), sink, compression="zstd")
        return bytes(sink.getvalue())

    @classmethod
    def from_bytes(cls, content: bytes) -> FoundTombstones:
        """Read back what `to_bytes` wrote."""
        rows = pq.read_table(pa.BufferReader(content))
        search = json.loads((rows.schema.metadata or {})[_METADATA])
        looked = {int(partition): int(offset) for partition, offset in search["looked_up_to"]}
        for name in _LIFE:
            if name not in rows.column_names:
                rows = rows.append_column(name, pa.repeat(NOWHERE, rows.num_rows))
        return cls(UUID(search["topic_id"]), looked, rows.replace_schema_metadata(None))


@dataclass(frozen=True, slots=True)
class Tombstones:
    """The latest tombstone of each deleted profile of a database, by profile id in ascending order.

    number: of the file that has it. topic: the index of its profile topic's id in `topic_ids`. The
    other columns are those of TOMBSTONES.
    """

    profile_ids: Integers
    appended_at: Integers
    occurred_at: Integers
    partition: Integers
    offset: Integers
    revived: Mask
    life_appended_at: Integers
    life_partition: Integers
    life_offset: Integers
    number: Integers
    topic: Integers
    topic_ids: tuple[UUID, ...]

    @classmethod
    def none(cls) -> Tombstones:
        """Return no tombstones."""
        empty = np.zeros(0, np.int64)
        return cls(
            profile_ids=empty,
            appended_at=empty,
            occurred_at=empty,
            partition=empty,
            offset=empty,
            revived=empty.astype(bool),
            life_appended_at=empty,
            life_partition=empty,
            life_offset=empty,
            number=empty,
            topic=empty,
            topic_ids=(),
        )

    def __len__(self) -> int:
        return len(self.profile_ids)

    @property
    def last_number(self) -> int:
        """The highest number of a file that these tombstones are from; 0 if there are none."""
        return int(self.number.max(initial=0))

    def since(self, number: int) -> Tombstones:
        """Return those that were recorded after the file of this number."""
        return self.only(self.number > number)

    def only(self, wanted: Mask) -> Tombstones:
        """Return those that are wanted."""
        arrays = {name: getattr(self, name)[wanted] for name in _ARRAYS}
        return replace(self, **arrays)

    def found(self, profile_ids: Integers) -> tuple[Integers, Mask]:
        """Return the index of each id's tombstone, and whether it has one."""
        if not len(self):
            return np.zeros(len(profile_ids), np.int64), np.zeros(len(profile_ids), np.bool_)
        index = np.minimum(np.searchsorted(self.profile_ids, profile_ids), len(self) - 1)
        return index, self.profile_ids[index] == profile_ids

    def gone(self, facts: DeletionFacts, silent_until: int | None = None) -> Mask:
        """Return which facts are gone.

        silent_until: append time (UTC ms) up to which all profile events are known. A fact appended
        before it is gone if its profile has no other life since.
        """
        index, has = self.found(facts.profile_ids)
        has &= ~facts.nobodys
        if not has.any():
            return has
        gone = self._appended_before(facts, index)
        gone |= facts.occurred_at <= self.occurred_at[index]
        if silent_until is not None:
            gone |= ~self.revived[index] & (facts.appended_at < silent_until)
        return has & gone

    def _appended_before(self, facts: DeletionFacts, index: Integers) -> Mask:
        """Return which facts were appended up to the deletion.

        Of a profile's own events, those of a life that goes on aren't among them.
        """
        if facts.positions is None:
            by_clock: Mask = facts.appended_at <= self.appended_at[index]
            return by_clock
        topic_id, partition, offset = facts.positions
        own = self.topic_ids.index(topic_id) if topic_id in self.topic_ids else -1
        goes_on = self.goes_on
        last_partition = np.where(goes_on, self.life_partition, self.partition)
        last_offset = np.where(goes_on, self.life_offset - 1, self.offset)
        last_appended = np.where(goes_on, self.life_appended_at - 1, self.appended_at)
        same = (self.topic[index] == own) & (last_partition[index] == partition)
        by_offset: Mask = offset <= last_offset[index]
        return np.where(same, by_offset, facts.appended_at <= last_appended[index])

    @property
    def goes_on(self) -> Mask:
        """Which profiles have a life that had begun when the deletion was recorded, and goes on."""
        begun: Mask = self.life_offset != NOWHERE
        return begun


_ARRAYS: Final = (
    "profile_ids",
    "appended_at",
    "occurred_at",
    "partition",
    "offset",
    "revived",
    *_LIFE,
    "number",
    "topic",
)


class TombstoneFiles:
    """The files of tombstones in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, tuple[int, Tombstones]] = {}
        self._read: dict[TombstonesPath, FoundTombstones] = {}

    def known(self, topic: str) -> Tombstones:
        """Return all current tombstones of a profile topic; each file is read only once."""
        paths = self._paths(topic)
        count, tombstones = self._known.get(topic, (0, Tombstones.none()))
        if len(paths) != count:
            tombstones = _merged([(path.number, self._found(path)) for path in paths])
            self._known[topic] = len(paths), tombstones
        return tombstones

    def last_number(self, topic: str) -> int:
        """Return the number of the latest file; 0 if there is none."""
        return max((path.number for path in self._paths(topic)), default=0)

    def looked_up_to(self, topic: str, topic_id: UUID) -> Mapping[int, int]:
        """Return up to which offset the passes have looked for deletions, by partition."""
        looked: dict[int, int] = {}
        for path in self._paths(topic):
            found = self._found(path)
            if found.topic_id == topic_id:
                looked.update(found.looked_up_to)
        return looked

    def add(self, path: TombstonesPath, found: FoundTombstones) -> bool:
        """Record the result of a pass; False if another pass has recorded this number."""
        return self._store.create(str(path), found.to_bytes())

    def _paths(self, topic: str) -> Sequence[TombstonesPath]:
        names = self._store.names(TombstonesPath.folder(topic))
        return list(TombstonesPath.among(names))

    def _found(self, path: TombstonesPath) -> FoundTombstones:
        if path not in self._read:
            self._read[path] = FoundTombstones.from_bytes(self._store.read(str(path)))
        return self._read[path]


def _merged(files: Sequence[tuple[int, FoundTombstones]]) -> Tombstones:
    """Return the latest tombstone of each profile."""
    topic_ids = tuple(dict.fromkeys(found.topic_id for _, found in files))
    tables = [found.rows for _, found in files]
    if not sum(table.num_rows for table in tables):
        return Tombstones.none()
    rows = pa.concat_tables(tables)
    number = _repeated(tables, [number for number, _ in files])
    topic = _repeated(tables, [topic_ids.index(found.topic_id) for _, found in files])
    profile_ids = _integers(rows, "profileId")
    # The last row of each id, by id: the first one in reversed order.
    unique, from_behind = np.unique(profile_ids[::-1], return_index=True)
    last = len(profile_ids) - 1 - from_behind
    return Tombstones(
        profile_ids=unique,
        appended_at=_integers(rows, "appended_at")[last],
        occurred_at=_integers(rows, "occurred_at")[last],
        partition=_integers(rows, "partition")[last],
        offset=_integers(rows, "offset")[last],
        revived=rows["revived"].to_numpy()[last].astype(np.bool_),
        life_appended_at=_integers(rows, "life_appended_at")[last],
        life_partition=_integers(rows, "life_partition")[last],
        life_offset=_integers(rows, "life_offset")[last],
        number=number[last],
        topic=topic[last],
        topic_ids=topic_ids,
    )


def _repeated(tables: Sequence[pa.Table], values: Sequence[int]) -> Integers:
    lengths: Any = [table.num_rows for table in tables]
    return np.repeat(np.array(values, np.int64), lengths)


def _integers(rows: pa.Table, name: str) -> Integers:
    values: Integers = rows[name].to_numpy().astype(np.int64)
    return values
