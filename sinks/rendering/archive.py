"""Zip archives of one file, written without going back.

Source: PKWARE's APPNOTE.TXT, "ZIP File Format Specification" 6.3.10; its sections are named below.
The sizes come after the data (a data descriptor), so that nothing is written twice and nothing
waits in memory. All dates are 1980-01-01, the format's first: the same data gives the same bytes.

Sizes of 4 GiB or more are written in 64 bits, and only these: readers of streams that know an
archive's sizes only afterwards (Java's among them) tell the width of a descriptor by the size.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final

from sinks.rendering.compress import Contents, Deflated

__all__ = ["SIGNATURE", "archive", "beginning", "ending"]

SIGNATURE: Final = b"PK\3\4"
"""What an archive begins with."""

_IN_64_BITS: Final = 2**32 - 1
"""What a field of 32 bits says of a size or an offset that is written in 64 bits (4.4.8)."""
_WIDE_FROM: Final = _IN_64_BITS
"""From here on they are."""
_PLAIN, _ZIP64 = 20, 45
"""Version of the format that a reader needs: for deflate, for sizes of 64 bits (4.4.3)."""
_FLAGS: Final = 0x0008
"""Sizes and checksum come after the data (4.4.4)."""
_DEFLATE: Final = 8
_TIME, _DATE = 0, 1 << 5 | 1
"""1980-01-01 00:00 (4.4.6)."""


def archive(name: str, deflated: Iterable[Deflated]) -> Iterator[bytes]:
    """The parts of an archive whose one file `name` holds all `deflated` blocks, in order.

    name: of letters, digits and signs of ASCII.
    """
    contents = Contents()
    yield beginning(name)
    yield from contents.passing(deflated)
    yield ending(name, contents)


def beginning(name: str) -> bytes:
    """What is before the data: the local file header (4.3.7)."""
    text = name.encode("ascii")
    shared = _PLAIN, _FLAGS, _DEFLATE, _TIME, _DATE
    return struct.pack("<4s5H3L2H", SIGNATURE, *shared, 0, 0, 0, len(text), 0) + text


def ending(name: str, contents: Contents) -> bytes:
    """What is after the data: the data descriptor (4.3.9) and the central directory."""
    wide = max(contents.length, contents.packed) >= _WIDE_FROM
    sizes = contents.packed, contents.length
    descriptor = struct.pack("<4sL" + ("2Q" if wide else "2L"), b"PK\7\x08", contents.crc32, *sizes)
    directory = _directory(name, contents, wide=wide)
    offset = len(beginning(name)) + contents.packed + len(descriptor)
    return descriptor + directory + _end_of_directory(len(directory), offset)


def _directory(name: str, contents: Contents, *, wide: bool) -> bytes:
    """The central directory's one header (4.3.12), sizes of 64 bits in its extra field (4.5.3)."""
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
    """The end of the central directory (4.3.16), before it that of 64 bits where the directory
    begins so far on (4.3.14, 4.3.15).
    """
    wide = b""
    if offset >= _WIDE_FROM:
        record = 44  # bytes of the record after its first two fields
        wide = struct.pack(
            "<4sQ2H2L4Q", b"PK\6\6", record, _ZIP64, _ZIP64, 0, 0, 1, 1, size, offset
        ) + struct.pack("<4sLQL", b"PK\6\7", 0, offset + size, 1)
        offset = _IN_64_BITS
    return wide + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size, offset, 0)
