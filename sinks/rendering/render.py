r"""Rendering of Arrow data as the CSV file of a drop (RFC 4180, SPEC §7).

The file is UTF-8 without BOM, with a header line and `\n` after every line. A value is quoted only
if it contains the separator, a quote, CR or LF; blanks at its ends stay. Null is empty, an empty
string is `""`.

A few threads format the rows in chunks, which are written in order. So memory doesn't grow with the
drop, and the same rows give the same bytes, however they were batched.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO, Final, Literal, TypeVar, assert_never

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sinks.rendering import compress
from sinks.rendering.archive import archive
from sinks.rendering.compress import BLOCK_BYTES, Compression
from sinks.rendering.formats import Mask, format_values
from sinks.rendering.formulas import escaped
from sinks.rendering.layout import Layout, Rendered
from sinks.wording import counted
from streams.storage.slices import row_bytes

__all__ = [
    "Counts",
    "Lines",
    "format_lines",
    "header_line",
    "render",
]

_CHUNK_ROWS: Final = 65_536
"""Rows that one thread formats at once: about 10 MB of text, which fits the processor's caches."""
_BLOCK_WITHOUT_LIMIT: Final = 3 << 29
"""Bytes above any block of older drops, which had no limit: an array of texts ends at 2 GiB."""
_AHEAD_BYTES: Final = 2 * BLOCK_BYTES
"""Bytes of all chunks in work. Each is in memory about four times: as values, fields, lines, and
compressed.
"""
# Made at import. The first conversion of a Python value to Arrow imports pandas if that is
# installed; this takes a third of a second, for which working threads would have to wait.
_NOTHING: Final = pa.scalar("")
_QUOTE: Final = pa.scalar('"')
_AHEAD: Final = 2
"""Results that may wait, in addition to those that the threads work on."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def render(
    batches: Iterable[pa.RecordBatch | pa.Table],
    layout: Layout,
    out: BinaryIO,
    *,
    inner_name: str | None = None,
    threads: int | None = None,
) -> Rendered:
    """Write `batches` to `out` as a CSV file.

    batches: with at least the layout's columns, of type string, integer, bool, date32, timestamp
    (UTC), decimal128, list<string>, uuid or a dictionary of strings; TypeError for other types.
    inner_name: the name of the file in a zip archive; ValueError if zip has none. threads: one per
    processor by default. Order and bytes don't depend on `threads`, nor on where a batch ends.
    """
    pool, writer, hasher = _Pool(threads or os.cpu_count() or 1), _Pool(1), _Pool(1)
    totals, written = _Totals(), _Written(out)
    try:
        chunks = _chunks(batches, [column.name for column in layout.columns], _chunk_bytes(layout))
        parts = _parts(pool, chunks, layout, totals, inner_name)
        for _ in hasher.in_order(written.hash, writer.in_order(written.write, parts)):
            pass
    finally:
        for each in (pool, writer, hasher):
            each.close()
    warnings = totals.warnings(layout)
    sha256 = written.sha256.hexdigest()
    return Rendered(totals.rows, written.bytes, sha256, warnings, inner_name)


def _parts(
    pool: _Pool,
    chunks: Iterable[pa.RecordBatch],
    layout: Layout,
    totals: _Totals,
    inner_name: str | None,
) -> Iterator[memoryview | bytes]:
    """Yield the file's bytes, piece by piece; one thread formats and compresses each chunk."""

    def plain(chunk: pa.RecordBatch) -> tuple[Counts, memoryview]:
        lines = format_lines(chunk, layout)
        return lines.counts, lines.text

    def deflated(chunk: pa.RecordBatch) -> tuple[Counts, compress.Deflated]:
        lines = format_lines(chunk, layout)
        return lines.counts, compress.deflate(lines.text)

    header = header_line(layout)
    if layout.compression is Compression.NONE:
        yield header
        yield from totals.adding(pool.in_order(plain, chunks))
        return
    blocks = totals.adding(pool.in_order(deflated, chunks))
    yield from _packed(chain([compress.deflate(header)], blocks), layout.compression, inner_name)


def _packed(
    blocks: Iterable[compress.Deflated],
    compression: Literal[Compression.GZIP, Compression.ZIP],
    inner_name: str | None,
) -> Iterator[bytes]:
    match compression:
        case Compression.GZIP:
            return compress.member(blocks)
        case Compression.ZIP:
            if inner_name is None:
                raise ValueError("a zip archive needs a name for the file in it")
            return archive(inner_name, blocks)
        case _:
            assert_never(compression)


def header_line(layout: Layout) -> bytes:
    """The first line of a file, in bytes: the headers."""
    headers = [
        _quoted(pa.array([column.header]), layout.separator)[0].as_py() for column in layout.columns
    ]
    return (layout.separator.join(headers) + "\n").encode()


@dataclass(frozen=True, slots=True)
class Counts:
    """Number of rows, and by column the numbers of values that need a warning."""

    rows: int
    holding_separator: Counter[str]
    out_of_range: Counter[str]


@dataclass(frozen=True, slots=True)
class Lines:
    """Rows as text, each with its line break."""

    text: memoryview
    counts: Counts


def format_lines(chunk: pa.RecordBatch, layout: Layout) -> Lines:
    """The lines of `chunk`, in its order."""
    fields: list[pa.Array | pa.Scalar] = []
    holding_separator: Counter[str] = Counter()
    out_of_range: Counter[str] = Counter()
    for column in layout.columns:
        formatted = format_values(chunk.column(column.name), layout.formats)
        holding_separator[column.name] += formatted.holding_separator
        out_of_range[column.name] += formatted.out_of_range
        text = escaped(formatted.text) if column.escapes else formatted.text
        fields.append(text if formatted.plain else _quoted(text, layout.separator))
    fields[-1] = _joined([fields[-1], _NOTHING], "\n")
    counts = Counts(chunk.num_rows, holding_separator, out_of_range)
    return Lines(_text_of(_joined(fields, layout.separator)), counts)


def _joined(fields: Sequence[pa.Array | pa.Scalar], separator: str) -> pa.Array:
    if len(fields) == 1:
        return fields[0]
    return pc.binary_join_element_wise(
        *fields, separator, null_handling="replace", null_replacement=""
    )


def _text_of(lines: pa.StringArray) -> memoryview:
    """The bytes of all lines; they are contiguous in the buffer of a newly made array."""
    _, _, text = lines.buffers()
    ends = np.frombuffer(lines.buffers()[1], np.int32, 1, 4 * (lines.offset + len(lines)))
    return memoryview(text)[: int(ends[0])]


def _quoted(text: pa.StringArray, separator: str) -> pa.StringArray:
    """`text` with quotes around the values that need them."""
    need = _needing_quotes(text, separator)
    if need is None:
        return text
    mask = pa.array(need)
    doubled = pc.replace_substring(text.filter(mask), '"', '""')
    return pc.replace_with_mask(
        text, mask, pc.binary_join_element_wise(_QUOTE, doubled, _QUOTE, "")
    )


def _needing_quotes(text: pa.StringArray, separator: str) -> Mask | None:
    """A mask of values that are empty or contain a special character; None if there are none."""
    _, starts_buffer, bytes_buffer = text.buffers()
    if not len(text) or bytes_buffer is None:
        return None
    starts = np.frombuffer(starts_buffer, np.int32, len(text) + 1, 4 * text.offset)
    data = np.frombuffer(bytes_buffer, np.uint8)[starts[0] : starts[-1]]
    specials = (ord(separator), ord('"'), ord("\n"), ord("\r"))
    need = np.diff(starts) == 0
    if data.size and data.min() <= max(specials):
        at = np.flatnonzero(np.logical_or.reduce([data == special for special in specials]))
        need[np.searchsorted(starts, at + starts[0], side="right") - 1] = True
    if text.null_count:
        need &= text.is_valid().to_numpy(zero_copy_only=False)
    return need if need.any() else None


def _chunk_bytes(layout: Layout) -> int:
    """Maximum bytes of a chunk's values. Without compression, the file doesn't depend on it."""
    if layout.compression is Compression.NONE:
        return BLOCK_BYTES
    return _BLOCK_WITHOUT_LIMIT if layout.block_bytes is None else layout.block_bytes


def _chunks(
    batches: Iterable[pa.RecordBatch | pa.Table], columns: list[str], most_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `batches` in chunks, with `columns` only.

    A chunk has _CHUNK_ROWS rows, or fewer if these would have more than `most_bytes`. Where a chunk
    ends doesn't depend on where a batch ends.
    """
    pending: list[pa.RecordBatch] = []
    rows = size = 0
    for piece in _pieces(batches, columns):
        ends = np.append(0, np.cumsum(row_bytes(piece)))
        at = 0
        while at < piece.num_rows:
            room = int(ends[at]) + most_bytes - size
            end = min(int(np.searchsorted(ends, room, side="right")) - 1, at + _CHUNK_ROWS - rows)
            if end <= at and not rows:
                end = at + 1  # a row that is larger than a chunk
            if end > at:
                pending.append(piece.slice(at, end - at))
                rows, size, at = rows + end - at, size + int(ends[end] - ends[at]), end
            if rows == _CHUNK_ROWS or at < piece.num_rows:
                yield _concatenated(pending)
                pending, rows, size = [], 0, 0
    if rows:
        yield _concatenated(pending)


def _pieces(
    batches: Iterable[pa.RecordBatch | pa.Table], columns: list[str]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        part = batch.select(columns)
        yield from part.to_batches() if isinstance(part, pa.Table) else [part]


def _concatenated(parts: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """The rows of some batches as one batch; a single batch isn't copied."""
    return parts[0] if len(parts) == 1 else pa.concat_batches(parts)


class _Pool:
    """A few threads whose results come in the order of their items."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="render")
        self._ahead = threads + _AHEAD

    def in_order(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield the result of `work` for each item, in order. The number and the bytes of items in
        work ahead of the yielded result are bounded.
        """
        running: deque[tuple[int, Future[Result]]] = deque()
        size = 0
        for item in items:
            running.append((_bytes_of(item), self._threads.submit(work, item)))
            size += running[-1][0]
            while len(running) > self._ahead or (size > _AHEAD_BYTES and len(running) > 1):
                done, result = running.popleft()
                size -= done
                yield result.result()
        while running:
            yield running.popleft()[1].result()

    def close(self) -> None:
        """Wait for running work, and cancel the rest."""
        self._threads.shutdown(cancel_futures=True)


def _bytes_of(item: object) -> int:
    return item.nbytes if isinstance(item, pa.RecordBatch | memoryview) else 0


class _Totals:
    """The sums of all chunks' counts."""

    def __init__(self) -> None:
        self.rows = 0
        self._holding_separator: Counter[str] = Counter()
        self._out_of_range: Counter[str] = Counter()

    def adding(self, made: Iterable[tuple[Counts, Result]]) -> Iterator[Result]:
        """Add the counts up, and yield the other results."""
        for counts, part in made:
            self.rows += counts.rows
            self._holding_separator += counts.holding_separator
            self._out_of_range += counts.out_of_range
            yield part

    def warnings(self, layout: Layout) -> tuple[str, ...]:
        warnings = []
        for column in layout.columns:
            if count := self._holding_separator[column.name]:
                what = counted(count, "value holds", "values hold")
                mark = layout.formats.values_separator
                warnings.append(f"column {column.header!r}: {what} the values' separator {mark!r}")
            if count := self._out_of_range[column.name]:
                what = counted(count, "value")
                be = "is" if count == 1 else "are"
                warnings.append(
                    f"column {column.header!r}: {what} outside the years 0001 to 9999 {be} empty"
                )
        return tuple(warnings)


class _Written:
    """A file while it is written, with its size and hash so far."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.bytes = 0
        self.sha256 = hashlib.sha256()

    def write(self, part: memoryview | bytes) -> memoryview | bytes:
        """Write the next part, and return it."""
        self._out.write(part)
        self.bytes += len(part)
        return part

    def hash(self, part: memoryview | bytes) -> None:
        """Add a part to the hash; in a thread of its own, as writing and hashing both take time."""
        self.sha256.update(part)
