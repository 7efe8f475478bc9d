"""The personal data in a topic's rows, and how to empty it (SPEC §5).

E-mail address and phone number are always personal; attributes and business keys are if they are
marked. Everything that isn't known to be harmless counts as personal too: an attribute that is no
longer declared, or a column that a stream's own function has made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.events import HEADER_FIELDS, KINDS, EventType, Kind
from schemas.tables import ALWAYS_PERSONAL, AttributeDefinition, Catalog
from schemas.topics import Topic
from streams.erasure.tombstones import DeletionFacts, Mask, TombstoneFiles
from streams.storage.stream_files import META

__all__ = [
    "PersonalData",
    "Writes",
    "facts_of",
    "judged_columns",
    "keys_of_nobody",
    "numbers",
    "owners_of",
    "profile_topic",
]

_ATTRIBUTES: Final = "attributes"
_KEY: Final = "businessKey"


class PersonalData:
    """The personal columns of one topic's rows, in files of any kind."""

    def __init__(self, topic: Topic, catalog: Catalog) -> None:
        attributes, key = _declared(topic, catalog)
        self._harmless = _harmless_fields(topic.kind) | {field.name for field in META}
        if key is not None and not key.is_personal:
            self._harmless |= {_KEY}
        self._harmless_attributes = {own.name for own in attributes if not own.is_personal}

    def columns(self, schema: pa.Schema, ours: Iterable[str] = ()) -> tuple[str, ...]:
        """Return the columns of a file that are or have personal data, but none of `ours`."""
        harmless = self._harmless | set(ours)
        return tuple(name for name in schema.names if name not in harmless)

    def emptied(self, rows: pa.Table, gone: Mask, names: Sequence[str]) -> tuple[pa.Table, int]:
        """Empty these columns in some rows; return the rows and the number of emptied values."""
        if not gone.any():
            return rows, 0
        values = 0
        for name in names:
            place = rows.schema.get_field_index(name)
            column = _joined(rows.column(place))
            emptied, went = self._column(name, column, gone)
            if went:
                rows = rows.set_column(place, rows.schema.field(place), emptied)
            values += went
        return rows, values

    def _column(self, name: str, column: pa.Array, gone: Mask) -> tuple[pa.Array, int]:
        if name != _ATTRIBUTES or not pa.types.is_struct(column.type):
            return _without(column, gone)
        members, values = [], 0
        fields = list(column.type)
        for field, member in zip(fields, column.flatten(), strict=True):
            went = 0
            if field.name not in self._harmless_attributes:
                member, went = _without(member, gone)  # noqa: PLW2901 - the member, emptied
            members.append(member)
            values += went
        whole = pa.StructArray.from_arrays(members, fields=fields, mask=column.is_null())
        return whole, values


@dataclass(frozen=True, slots=True)
class Writes:
    """Empties new rows, before they are written, of people whose deletion is recorded already."""

    topic: Topic
    personal: PersonalData
    tombstones: TombstoneFiles

    def emptied(self, rows: pa.Table, topic_id: UUID) -> pa.Table:
        """Return a topic's rows (event columns and META) without personal data of people who are
        gone.
        """
        names = self.personal.columns(rows.schema)
        known = self.tombstones.known(profile_topic(self.topic).name) if names else ()
        if not known:
            return rows
        gone = known.gone(facts_of(rows, self.topic.kind, topic_id))
        return self.personal.emptied(rows, gone | keys_of_nobody(rows, self.topic.kind), names)[0]


def profile_topic(topic: Topic) -> Topic:
    """Return the profile topic of a topic's database, which has its deletions."""
    return Topic(Kind.PROFILE, topic.database, prefix=topic.prefix)


def judged_columns(kind: Kind) -> list[str]:
    """Return the columns of a topic's files that are needed to judge rows."""
    return ["eventType", "occurredAt", "profileId", *(field.name for field in META)]


def facts_of(rows: pa.Table, kind: Kind, topic_id: UUID) -> DeletionFacts:
    """Return what is needed to judge a topic's rows."""
    profile_ids = owners_of(rows)
    partition, offset = numbers(rows["_partition"]), numbers(rows["_offset"])
    return DeletionFacts(
        numbers(pc.fill_null(profile_ids, 0)),
        numbers(rows["_appended_at"]),
        numbers(rows["occurredAt"]),
        _mask(profile_ids.is_null()),
        (topic_id, partition, offset) if kind is Kind.PROFILE else None,
    )


def keys_of_nobody(rows: pa.Table, kind: Kind) -> Mask:
    """Return which rows are deletions that don't say whose row was deleted.

    Their personal key is never exported (SPEC §3, *Rows*), so it needn't be stored either.
    """
    if kind is not Kind.ROW:
        return np.zeros(rows.num_rows, np.bool_)
    deleted = pc.equal(rows["eventType"].cast(pa.string()), EventType.DELETED.value)
    return _mask(deleted) & _mask(owners_of(rows).is_null())


def owners_of(rows: pa.Table) -> pa.ChunkedArray:
    """Return the profile of each row; null where it has none, as in tables without that column."""
    if "profileId" in rows.column_names:
        return rows["profileId"]
    return pa.chunked_array([pa.nulls(rows.num_rows, pa.int64())])


def _declared(
    topic: Topic, catalog: Catalog
) -> tuple[tuple[AttributeDefinition, ...], AttributeDefinition | None]:
    """Return the attributes of a topic's rows and the attribute that is their key; none if not
    defined.
    """
    if topic.kind is Kind.PROFILE and str(topic.database) in catalog.databases:
        database = catalog.databases[str(topic.database)]
        key = database.business_key
        return database.attributes, database.attribute(key) if key else None
    if topic.kind is Kind.ROW and (str(topic.database), str(topic.table)) in catalog.tables:
        table = catalog.tables[str(topic.database), str(topic.table)]
        return table.attributes, table.key_attribute
    return (), None


def _harmless_fields(kind: Kind) -> frozenset[str]:
    payloads = KINDS[kind].payloads.values()
    fields = {name for payload in payloads for name in (*payload.fields, *payload.forbidden)}
    return frozenset({*HEADER_FIELDS, *fields} - {*ALWAYS_PERSONAL, _ATTRIBUTES, _KEY})


def _without(column: pa.Array, gone: Mask) -> tuple[pa.Array, int]:
    """Set a column to null in some rows; return it and the number of values that went.

    Nothing of these values is left in the column.
    """
    went = int(np.count_nonzero(gone & ~_mask(column.is_null())))
    if not went:
        return column, 0
    index = pa.array(np.arange(len(column), dtype=np.int64), mask=gone)
    kind = column.type
    if pa.types.is_dictionary(kind):  # values would stay in the dictionary
        return column.cast(kind.value_type).take(index).dictionary_encode().cast(kind), went
    return column.take(index), went


def _joined(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, column.type)


def numbers(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return a column as 64-bit integers, moments as UTC milliseconds."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ms", column.type.tz), safe=False)
    values: npt.NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
    return values


def _mask(column: pa.ChunkedArray | pa.Array) -> Mask:
    joined = _joined(column) if isinstance(column, pa.ChunkedArray) else column
    mask: Mask = pc.fill_null(joined, False).to_numpy(zero_copy_only=False).astype(np.bool_)
    return mask
