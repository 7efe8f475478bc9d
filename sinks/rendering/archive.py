"""Zip archives with one file, written in one pass.

Source: PKWARE's APPNOTE.TXT, "ZIP File Format Specification" 6.3.10; its sections are named below.
The sizes come after the data (a data descriptor). So nothing is written twice, and the data needn't
wait in memory. All dates are 1980-01-01, the format's first: the same data gives the same bytes.

Only sizes of 4 GiB or more are written in 64 bits. Readers that process an archive as a stream
(Java's among them) derive the width of the data descriptor from the size.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final

from sinks.rendering.compress import Contents, Deflated

__all__ = ["SIGNATURE", "archive", "beginning", "ending"]

SIGNATURE: Final = b"PK\3\4"
"""The first bytes of an archive."""

_IN_64_BITS: Final = 2**32 - 1
"""The value of a 32-bit field whose size or offset is in a 64-bit field elsewhere (4.4.8)."""
_WIDE_FROM: Final = _IN_64_BITS
"""The first size or offset that needs 64 bits."""
_PLAIN, _ZIP64 = 20, 45
"""The format's version that a reader needs: for deflate, and for sizes of 64 bits (4.4.3)."""
_FLAGS: Final = 0x0008
"""Flag: sizes and checksum come after the data (4.4.4)."""
_DEFLATE: Final = 8
_TIME, _DATE = 0, 1 << 5 | 1
"""1980-01-01 00:00 (4.4.6)."""


def archive(name: str, deflated: Iterable[Deflated]) -> Iterator[bytes]:
    """Yield the parts of an archive with one file, which has all blocks in order.

    name: the file's name, in ASCII.
    """
    contents = Contents()
    yield beginning(name)
    yield from contents.passing(deflated)
    yield ending(name, contents)


def beginning(name: str) -> bytes:
    """The bytes before the data: the local file header (4.3.7)."""
    text = name.encode("ascii")
    shared = _PLAIN, _FLAGS, _DEFLATE, _TIME, _DATE
    return struct.pack("<4s5H3L2H", SIGNATURE, *shared, 0, 0, 0, len(text), 0) + text


def ending(name: str, contents: Contents) -> bytes:
    """The bytes after the data: the data descriptor (4.3.9) and the central directory."""
    wide = max(contents.length, contents.packed) >= _WIDE_FROM
    sizes = contents.packed, contents.length
    descriptor = struct.pack("<4sL" + ("2Q" if wide else "2L"), b"PK\7\x08", contents.crc32, *sizes)
    directory = _directory(name, contents, wide=wide)
    offset = len(beginning(name)) + contents.packed + len(descriptor)
    return descriptor + directory + _end_of_directory(len(directory), offset)


def _directory(name: str, contents: Contents, *, wide: bool) -> bytes:
    """The central directory's only header (4.3.12); its extra field has 64-bit sizes (4.5.3)."""
    text = name.encode("ascii")
    needed, extra = _PLAIN, b""
    sizes = contents.packed, contents.length
    if wide:
        needed, extra = _ZIP64, struct.pack("<2H2Q", 1, 16, contents.length, contents.packed)
        sizes = _IN_64_BITS, _IN_64_BITS
    header = struct.pack(
        "<4s6H3L5H2L",
        *(b"PK\1\2", needed, needed, _FLAGS, _DEFLATE, _TIME, _DATE),
        *(contents.crc32, *sizes),
        *(len(text), len(extra), 0, 0, 0),  # no comment, the first disk, no attributes
        *(0, 0),  # no attributes, at the archive's first byte
    )
    return header + text + extra


def _end_of_directory(size: int, offset: int) -> bytes:
    """The end of the central directory (4.3.16). If the directory's offset needs 64 bits, the
    records for that come before it (4.3.14, 4.3.15).
    """
    wide = b""
    if offset >= _WIDE_FROM:
        record = 44  # bytes of the record after its first two fields
        wide = struct.pack(
            "<4sQ2H2L4Q", b"PK\6\6", record, _ZIP64, _ZIP64, 0, 0, 1, 1, size, offset
        ) + struct.pack("<4sLQL", b"PK\6\7", 0, offset + size, 1)
        offset = _IN_64_BITS
    return wide + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size, offset, 0)
