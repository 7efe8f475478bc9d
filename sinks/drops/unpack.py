"""Unpacking of a delivered file to its CSV bytes, piece by piece, whatever their size."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import chain
from typing import Final, assert_never, cast

from isal import isal_zlib

from sinks.drops.csv_check import SpoiltError
from sinks.rendering import archive
from sinks.rendering.compress import Compression, Contents

__all__ = ["unpacked"]

_MOST: Final = 16 * 1024 * 1024
"""Bytes that are unpacked at once; 4 MiB of deflate data can expand to 4 GiB."""
_GZIP: Final = 31
"""zlib's window bits for gzip with header and trailer."""
_RAW: Final = -15
"""zlib's window bits for deflate data alone."""
_BEGINNING: Final = struct.Struct("<26xH2x")
"""A zip archive's first header up to the name; its field is the length of the name."""
_ERROR: Final = cast(type[Exception], isal_zlib.error)


def unpacked(
    pieces: Iterator[bytes], compression: Compression, inner_name: str | None
) -> Iterator[bytes]:
    """Yield the CSV bytes of a file.

    pieces: the file's bytes. inner_name: the name of the file in a zip archive. Raises SpoiltError
    if the file doesn't have that compression, or isn't complete.
    """
    match compression:
        case Compression.NONE:
            return pieces
        case Compression.GZIP:
            return _gunzipped(pieces)
        case Compression.ZIP:
            return _unzipped(pieces, inner_name or "")
        case _:
            assert_never(compression)


def _gunzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    data = _Inflated(pieces, _GZIP, "gzip")
    yield from data
    if data.rest or next(pieces, b""):
        raise SpoiltError("compression", "there are bytes after the end of the gzip data")


def _unzipped(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Yield the file in an archive; raises SpoiltError unless all bytes around the data are exactly
    those of a drop with this name and data.
    """
    first = archive.beginning(name)
    head = _at_least(len(first), pieces)
    if not head.startswith(first):
        raise _wrong_beginning(head, name)
    data = _Inflated(chain([head[len(first) :]], pieces), _RAW, "zip")
    yield from data
    last = archive.ending(name, data.contents)
    tail = _at_least(len(last) + 1, chain([data.rest], pieces))
    if tail == last:
        return
    if tail.startswith(last):
        raise SpoiltError("compression", "there are bytes after the end of the archive")
    if last.startswith(tail):
        raise SpoiltError("compression", "the archive doesn't end: the file may be cut off")
    raise SpoiltError("compression", "the archive's checksum, sizes or directory don't fit it")


def _wrong_beginning(head: bytes, name: str) -> SpoiltError:
    if archive.beginning(name).startswith(head):
        return SpoiltError("compression", "the archive doesn't end: the file may be cut off")
    if len(head) < _BEGINNING.size or not head.startswith(archive.SIGNATURE):
        return SpoiltError("compression", "isn't a zip archive")
    (length,) = _BEGINNING.unpack_from(head)
    found = head[_BEGINNING.size :][:length].decode("utf-8", "replace")
    if found != name:
        return SpoiltError("inner name", f"is {found!r}, the manifest says {name!r}")
    return SpoiltError("compression", "isn't a zip archive as a drop is: of one deflated file")


def _at_least(size: int, pieces: Iterator[bytes]) -> bytes:
    """The next pieces joined, with at least `size` bytes; fewer if the pieces end."""
    taken = b""
    while len(taken) < size and (piece := next(pieces, None)) is not None:
        taken += piece
    return taken


class _Inflated:
    """The decompressed bytes of deflate data, as an iterable for one pass.

    contents, rest: valid when all was read. contents: checksum and sizes. rest: bytes after the end
    of the data, in the last piece that was taken from `pieces`.
    """

    def __init__(self, pieces: Iterator[bytes], window_bits: int, what: str) -> None:
        self.contents = Contents()
        self.rest = b""
        self._pieces = pieces
        self._unpack = isal_zlib.decompressobj(window_bits)
        self._what = what

    def __iter__(self) -> Iterator[bytes]:
        try:
            for data in self._data():
                self.contents.crc32 = isal_zlib.crc32(data, self.contents.crc32)
                self.contents.length += len(data)
                yield data
        except _ERROR as error:
            raise SpoiltError("compression", f"isn't whole {self._what} data: {error}") from error
        if not self._unpack.eof:
            what = f"the {self._what} data doesn't end: the file may be cut off"
            raise SpoiltError("compression", what)
        self.rest = self._unpack.unused_data
        self.contents.packed -= len(self.rest)

    def _data(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.contents.packed += len(piece)
            packed = piece
            while packed and not self._unpack.eof:
                yield self._unpack.decompress(packed, _MOST)
                packed = self._unpack.unconsumed_tail
            if self._unpack.eof:
                return
        yield self._unpack.flush()
