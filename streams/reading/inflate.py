"""Decompression of a batch's records: whole if they are certainly small, else piece by piece.

A size in a header isn't trusted, as a batch of 1 MiB may decompress to many gigabytes. An upper
bound follows from the blocks, as each has a maximum size: RFC 8878 for zstd, the LZ4 frame format,
the framing of xerial's Snappy. For gzip (RFC 1952), decompression stops at the limit.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol, TypeAlias, cast

import cramjam
import pyarrow as pa
from aiokafka import codec as codecs
from isal import isal_zlib

__all__ = ["ByteSource", "InflateError", "Payload", "inflated_if_small", "opened"]

Payload: TypeAlias = bytes | memoryview
"""Bytes of records, decompressed."""

_NONE, _GZIP, _SNAPPY, _LZ4, _ZSTD = range(5)  # Kafka's numbers (KIP-110)

_GZIP_BITS: Final = 31  # a gzip header and the largest window (zlib's manual, inflateInit2)

_XERIAL: Final = b"\x82SNAPPY\0"
_XERIAL_HEADER: Final = 16
_SNAPPY_RATIO: Final = 22  # a copy element of 3 bytes gives 64 bytes at most

_ZSTD_MAGIC: Final = 0xFD2FB528
_ZSTD_SKIPPABLE: Final = range(0x184D2A50, 0x184D2A60)
_ZSTD_BLOCK: Final = 128 << 10
_RAW, _RLE, _COMPRESSED = range(3)

_LZ4_MAGIC: Final = 0x184D2204
_LZ4_RATIO: Final = 255
_LZ4_RAW: Final = 1 << 31


class InflateError(Exception):
    """Fetched bytes can't be decompressed."""


class ByteSource(Protocol):
    """A reader of decompressed bytes, in order."""

    def read(self, size: int) -> bytes:
        """Return the next bytes, `size` at most; b"" at the end. Raises InflateError."""


def inflated_if_small(codec: int, packed: memoryview, most: int) -> Payload | None:
    """The decompressed bytes of all records; None if they may be more than `most` bytes.

    codec: Kafka's number of the compression. Raises InflateError.
    """
    if codec == _NONE:
        return packed if len(packed) <= most else None
    if codec not in _SMALL:
        raise InflateError(f"unknown compression codec {codec}")
    try:
        return _SMALL[codec](packed, most)
    except _ERRORS as error:
        raise InflateError(f"it can't be decompressed ({error})") from error


def opened(codec: int, packed: memoryview) -> ByteSource:
    """The decompressed bytes of all records, piece by piece, without a limit of their number.

    Memory has one piece and the codec's window: up to 8 MiB with zstd's usual levels, 128 MiB with
    its highest. Raw Snappy is decompressed as a whole (up to 22 times the size of the batch).
    Raises InflateError.
    """
    if codec == _GZIP:
        return _Gzip(packed)
    if codec == _SNAPPY:
        return _Pieces(_snappy_blocks(packed))
    if codec in _STREAMS:
        return _Stream(packed, _STREAMS[codec])
    if codec == _NONE:
        return io.BytesIO(packed)
    raise InflateError(f"unknown compression codec {codec}")


_STREAMS: Final = {_LZ4: "lz4", _ZSTD: "zstd"}


def _gzip_if_small(packed: memoryview, most: int) -> bytes | None:
    member = isal_zlib.decompressobj(_GZIP_BITS)
    inflated: bytes = member.decompress(packed, most + 1)
    return inflated if member.eof and not member.unused_data and len(inflated) <= most else None


class _Gzip:
    """Members of a gzip stream, one after the other."""

    def __init__(self, packed: memoryview) -> None:
        self._rest: bytes | memoryview = packed
        self._member = isal_zlib.decompressobj(_GZIP_BITS)

    def read(self, size: int) -> bytes:
        """See ByteSource."""
        with _translated():
            while True:
                if self._member.eof:
                    self._rest = self._member.unused_data
                    if not self._rest.strip(b"\0"):
                        return b""
                    self._member = isal_zlib.decompressobj(_GZIP_BITS)
                rest = self._rest
                inflated: bytes = self._member.decompress(rest, size)
                self._rest = self._member.unconsumed_tail
                if inflated:
                    return inflated
                if not self._member.eof and len(self._rest) == len(rest):
                    raise InflateError("it is cut off")


class _Stream:
    """A stream that Arrow decompresses (LZ4, zstd)."""

    def __init__(self, packed: memoryview, codec: str) -> None:
        self._stream = pa.CompressedInputStream(pa.BufferReader(packed), codec)

    def read(self, size: int) -> bytes:
        """See ByteSource."""
        with _translated():
            inflated: bytes = self._stream.read(size)
        return inflated


class _Pieces:
    """A source over blocks of any size (Snappy); its pieces have the requested size at most."""

    def __init__(self, pieces: Iterator[memoryview]) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")

    def read(self, size: int) -> bytes:
        """See ByteSource."""
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._piece = piece
        taken, self._piece = self._piece[:size], self._piece[size:]
        return bytes(taken)


def _snappy_blocks(packed: memoryview) -> Iterator[memoryview]:
    """Each block of xerial's framing, decompressed; without the framing there is one block."""
    for block in _snappy_packed(packed):
        _refuse_impossible(block)
        with _translated():
            inflated = memoryview(cramjam.snappy.decompress_raw(block))
        yield inflated


def _snappy_packed(packed: memoryview) -> Iterator[memoryview]:
    if bytes(packed[: len(_XERIAL)]) != _XERIAL:
        yield packed
        return
    at = _XERIAL_HEADER
    while at < len(packed):
        size = int.from_bytes(packed[at : at + 4], "big")
        at += 4 + size
        if at > len(packed):
            raise InflateError("a block of Snappy is cut off")
        yield packed[at - size : at]


def _refuse_impossible(block: memoryview) -> None:
    """Raise InflateError if a block claims too large a size, as that much memory is allocated."""
    if _snappy_claim(block) > _SNAPPY_RATIO * len(block):
        raise InflateError("a block of Snappy claims more bytes than it can hold")


def _snappy_claim(block: memoryview) -> int:
    claim = 0
    for place, byte in enumerate(block[:5]):
        claim |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return claim
    raise InflateError("a block of Snappy has no size")


def _snappy_if_small(packed: memoryview, most: int) -> bytes | None:
    blocks = []
    for block in _snappy_packed(packed):
        _refuse_impossible(block)
        most -= _snappy_claim(block)
        if most < 0:
            return None
        blocks.append(bytes(cramjam.snappy.decompress_raw(block)))
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)


def _lz4_if_small(packed: memoryview, most: int) -> bytes | None:
    if _LZ4_RATIO * len(packed) <= most or _is_within(_lz4_bound(packed, most), most):
        inflated: bytes = codecs.lz4_decode(packed)
        return inflated
    return None


def _zstd_if_small(packed: memoryview, most: int) -> bytes | None:
    return codecs.zstd_decode(packed) if _is_within(_zstd_bound(packed, most), most) else None


def _is_within(bound: int | None, most: int) -> bool:
    return bound is not None and bound <= most


def _zstd_bound(packed: memoryview, most: int) -> int | None:
    """Upper bound of the decompressed bytes; None if that isn't known."""
    total = at = 0
    try:
        while at < len(packed):
            (magic,) = struct.unpack_from("<I", packed, at)
            if magic in _ZSTD_SKIPPABLE:
                at += 8 + struct.unpack_from("<I", packed, at + 4)[0]
                continue
            if magic != _ZSTD_MAGIC:
                return None
            descriptor = packed[at + 4]
            is_last = 0
            at += _zstd_header(descriptor)
            while not is_last and total <= most:
                header = int.from_bytes(packed[at : at + 3], "little")
                is_last, kind, size = header & 1, header >> 1 & 3, header >> 3
                if kind > _COMPRESSED or at + 3 > len(packed):
                    return None
                total += _ZSTD_BLOCK if kind == _COMPRESSED else size
                at += 3 + (1 if kind == _RLE else size)
            if not is_last:
                return None
            at += 4 if descriptor & 4 else 0  # a checksum
    except (IndexError, struct.error):
        return None
    return total


def _zstd_header(descriptor: int) -> int:
    """Bytes of a frame's header, from its descriptor (RFC 8878, 3.1.1.1)."""
    is_single, content, dictionary = descriptor >> 5 & 1, descriptor >> 6, descriptor & 3
    content_size = (is_single, 2, 4, 8)[content]
    return 5 + (1 - is_single) + (0, 1, 2, 4)[dictionary] + content_size


def _lz4_bound(packed: memoryview, most: int) -> int | None:
    """Upper bound of the decompressed bytes of one frame; None if that isn't known."""
    try:
        (magic,) = struct.unpack_from("<I", packed, 0)
        flags, kind = packed[4], packed[5] >> 4 & 7
        if magic != _LZ4_MAGIC or kind < 4:
            return None
        block_most = 1 << (8 + 2 * kind)  # 64 KiB to 4 MiB
        total, at = 0, 7 + (8 if flags & 8 else 0) + (4 if flags & 1 else 0)
        while total <= most:
            (size,) = struct.unpack_from("<I", packed, at)
            if not size:
                return total if at + 4 + (4 if flags & 4 else 0) == len(packed) else None
            stored = size & ~_LZ4_RAW
            total += stored if size & _LZ4_RAW else min(_LZ4_RATIO * stored, block_most)
            at += 4 + stored + (4 if flags & 16 else 0)
    except (IndexError, struct.error):
        pass
    return None


_SMALL: Final[dict[int, Callable[[memoryview, int], bytes | None]]] = {
    _GZIP: _gzip_if_small,
    _SNAPPY: _snappy_if_small,
    _LZ4: _lz4_if_small,
    _ZSTD: _zstd_if_small,
}

_ERRORS: Final = cast(
    tuple[type[Exception], ...],
    (
        cramjam.DecompressionError,
        isal_zlib.error,
        pa.ArrowException,
        EOFError,
        OSError,
        ValueError,
    ),
)


@contextmanager
def _translated() -> Iterator[None]:
    """Translate the codecs' errors to InflateError."""
    try:
        yield
    except _ERRORS as error:
        raise InflateError(f"it can't be decompressed ({error})") from error
