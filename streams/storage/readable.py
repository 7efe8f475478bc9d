"""Which values of a table the engine can read back, and how to make others readable.

Moments and dates are within `schemas.bounds`, texts are valid UTF-8, decimals have no more digits
than their type (SPEC §6, *Nothing is stored that a close can't read*). A member of a record is
named by its path, such as `attributes.city`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.bounds import FIRST_DAY, FIRST_MOMENT_MS, LAST_DAY, LAST_MOMENT_MS

__all__ = [
    "Mask",
    "readable",
    "type_of",
    "unreadable_columns",
    "why_unreadable",
]

Mask: TypeAlias = npt.NDArray[np.bool_]

_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_INT64: Final = np.iinfo(np.int64)
_WORD: Final = 64
_OCCURRED: Final = "occurredAt"
_APPENDED: Final = "_appended_at"


def unreadable_columns(rows: pa.Table) -> dict[str, Mask]:
    """Return, by the column's name, a flag for each row whose value the engine can't read.

    Columns without such values are left out. The cost is a look at a column's least and greatest
    value, and at each text.
    """
    found: dict[str, Mask] = {}
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        at = 0
        for chunk in column.chunks:
            for path, mask in _faults(name, chunk):
                flags = found.setdefault(path, np.zeros(rows.num_rows, np.bool_))
                flags[at : at + len(chunk)] |= mask
            at += len(chunk)
    return found


def type_of(schema: pa.Schema, path: str) -> pa.DataType:
    """Return the type of the values of a column that `unreadable_columns` names."""
    name, *members = path.split(".")
    kind = schema.field(name).type
    for member in members:
        kind = kind.field(member).type
    while pa.types.is_list(kind):
        kind = kind.value_type
    return kind


def why_unreadable(kind: pa.DataType) -> str:
    """Return what is wrong with unreadable values of this type."""
    if pa.types.is_timestamp(kind):
        return "a moment outside 0001-01-02 to 9999-12-30"
    if pa.types.is_date(kind):
        return "a date outside 0001-01-01 to 9999-12-31"
    if pa.types.is_decimal(kind):
        return f"a decimal of more than {kind.precision} digits"
    return "a text that isn't valid UTF-8"


def readable(rows: pa.Table, wanted: Mask) -> pa.Table:
    """Return the rows with some of them made readable: unreadable values in these are emptied.

    In texts only bytes that aren't UTF-8 are replaced (by U+FFFD). `occurredAt`, which every rule
    needs, becomes the append time.
    """
    for place, name in enumerate(rows.column_names):
        column = _joined(rows.column(name))
        masks = dict(_faults(name, column))
        if not any((mask & wanted).any() for mask in masks.values()):
            continue
        if name == _OCCURRED and _APPENDED in rows.column_names:
            appended = _joined(rows.column(_APPENDED)).cast(column.type)
            mended = pc.if_else(pa.array(masks[name] & wanted), appended, column)
        else:
            mended = _mended(name, column, masks, wanted)
        rows = rows.set_column(place, rows.schema.field(place), mended)
    return rows


def _faults(path: str, array: pa.Array) -> Iterator[tuple[str, Mask]]:
    """Yield the paths of columns with unreadable values, each with a flag for each row."""
    kind = array.type
    if pa.types.is_struct(kind):
        for field, member in zip(list(kind), array.flatten(), strict=True):
            yield from _faults(f"{path}.{field.name}", member)
    elif pa.types.is_list(kind):
        lengths = pc.fill_null(array.value_lengths(), 0).to_numpy()
        rows = np.repeat(np.arange(len(array)), lengths)
        for inner, mask in _faults(path, array.flatten()):
            yield inner, np.isin(np.arange(len(array)), rows[mask])
    elif pa.types.is_dictionary(kind):
        for inner, mask in _faults(path, array.dictionary):
            bad = _as_mask(pc.fill_null(pa.array(mask).take(array.indices), False))
            if bad.any():
                yield inner, bad
    elif (bad_leaves := _bad(array)) is not None and bad_leaves.any():
        yield path, bad_leaves


def _bad(array: pa.Array) -> Mask | None:
    """Return which values of a leaf can't be read; None if all can."""
    kind = array.type
    if pa.types.is_timestamp(kind):
        per_second = _PER_SECOND[kind.unit]
        first, end = (ms * per_second // 1_000 for ms in (FIRST_MOMENT_MS, LAST_MOMENT_MS + 1))
        return _outside(array.view(pa.int64()), first, end - 1)
    if pa.types.is_date32(kind):
        return _outside(array.view(pa.int32()), FIRST_DAY, LAST_DAY)
    if pa.types.is_decimal128(kind):
        return _beyond(array, 10**kind.precision - 1)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _no_texts(array)
    return None


def _outside(numbers: pa.Array, first: int, last: int) -> Mask | None:
    ends = pc.min_max(numbers)
    least, greatest = ends["min"].as_py(), ends["max"].as_py()
    if least is None or (least >= first and greatest <= last):
        return None
    first, last = max(first, _INT64.min), min(last, _INT64.max)
    return _as_mask(pc.fill_null(pc.or_(pc.less(numbers, first), pc.greater(numbers, last)), False))


def _beyond(array: pa.Array, greatest: int) -> Mask | None:
    """Return which decimals have more digits than their type. They are read as 128-bit numbers."""
    words = np.frombuffer(array.buffers()[1] or b"", np.int64)
    words = words[2 * array.offset : 2 * (array.offset + len(array))]
    if not len(words) or _fits_half(words, greatest):
        return None
    low, high = words[0::2].view(np.uint64), words[1::2]
    most_high, most_low = divmod(greatest, 1 << _WORD)
    least_high, least_low = divmod(-greatest, 1 << _WORD)
    over = (high > most_high) | ((high == most_high) & (low > np.uint64(most_low)))
    under = (high < least_high) | ((high == least_high) & (low < np.uint64(least_low)))
    bad = over | under
    mask: Mask = bad & ~_as_mask(array.is_null())
    return mask


def _fits_half(words: npt.NDArray[np.int64], greatest: int) -> bool:
    """Whether all decimals are 64-bit numbers within the bounds; nearly always true."""
    low, high = words[0::2], words[1::2]
    least, most = int(low.min()), int(low.max())
    return bool((high == low >> (_WORD - 1)).all()) and -greatest <= least and most <= greatest


def _no_texts(array: pa.Array) -> Mask | None:
    if _is_ascii(array):
        return None
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        values = _as_bytes(array).to_pylist()
        return np.fromiter((not _is_text(value) for value in values), np.bool_, len(values))
    return None


def _is_ascii(texts: pa.Array) -> bool:
    """Whether no byte of some texts has its highest bit set.

    Eight bytes are checked at a time; that takes a tenth of the time of a look at each text.
    """
    _, ends, data = texts.buffers()
    if data is None or not len(texts):
        return True
    width = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    bounds = np.frombuffer(ends, width)[texts.offset : texts.offset + len(texts) + 1]
    values = np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]]
    by_eights = values[: len(values) // 8 * 8].view(np.uint64)
    found = int(np.bitwise_or.reduce(by_eights, initial=0)) & 0x8080_8080_8080_8080
    rest = int(np.bitwise_or.reduce(values[len(by_eights) * 8 :], initial=0)) & 0x80
    return not found and not rest


def _is_text(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _as_bytes(texts: pa.Array) -> pa.Array:
    large = pa.types.is_large_string(texts.type)
    return texts.view(pa.large_binary() if large else pa.binary())


def _mended(path: str, array: pa.Array, masks: Mapping[str, Mask], wanted: Mask) -> pa.Array:
    """Return a column with its unreadable values removed in the wanted rows."""
    kind = array.type
    if pa.types.is_struct(kind):
        fields = list(kind)
        members = [
            _mended(f"{path}.{field.name}", member, masks, wanted)
            for field, member in zip(fields, array.flatten(), strict=True)
        ]
        return pa.StructArray.from_arrays(members, fields=fields, mask=array.is_null())
    if path not in masks:
        return array
    bad = masks[path] & wanted
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _with_replaced(array, bad)
    return array.take(pa.array(np.arange(len(array), dtype=np.int64), mask=bad))


def _with_replaced(texts: pa.Array, bad: Mask) -> pa.Array:
    values = _as_bytes(texts).to_pylist()
    for index in np.flatnonzero(bad):
        values[index] = (values[index] or b"").decode(errors="replace").encode()
    return pa.array(values, _as_bytes(texts[:0]).type).view(texts.type)


def _as_mask(flags: pa.Array | pa.ChunkedArray) -> Mask:
    mask: Mask = flags.to_numpy(zero_copy_only=False).astype(np.bool_)
    return mask


def _joined(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, column.type)
