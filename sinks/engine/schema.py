"""Ibis schemas of Arrow schemas, the same for every engine."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import ibis
import ibis.expr.datatypes as dt
import pyarrow as pa
from ibis.formats.pyarrow import PyArrowType

__all__ = ["table_schema"]

_MICROSECONDS: Final = 6
"""Digits of a second's fraction."""


@lru_cache(maxsize=256)
def table_schema(schema: pa.Schema) -> ibis.Schema:
    """Return the schema of a table with these columns: dictionaries become their values, moments
    are in microseconds, and every value may be null.
    """
    return ibis.schema({field.name: _type(field.type) for field in schema})


def _type(kind: pa.DataType) -> dt.DataType:
    if isinstance(kind, pa.UuidType):  # Ibis 12 lacks this type
        return dt.UUID()
    if pa.types.is_dictionary(kind):
        return _type(kind.value_type)
    if pa.types.is_struct(kind):
        return dt.Struct({field.name: _type(field.type) for field in kind})
    if pa.types.is_map(kind):
        return dt.Map(_type(kind.key_type), _type(kind.item_type))
    if pa.types.is_list(kind):
        return dt.Array(_type(kind.value_type))
    if pa.types.is_timestamp(kind):
        return dt.Timestamp(timezone=kind.tz, scale=_MICROSECONDS)
    return PyArrowType.to_ibis(kind)
