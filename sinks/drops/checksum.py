"""The checksum file beside a drop, which `sha256sum -c` of GNU coreutils reads."""

from __future__ import annotations

__all__ = ["checksum_file"]


def checksum_file(sha256: str, name: str) -> bytes:
    """Return the content of the checksum file of a drop.

    name: the drop's name; it has no character that coreutils would escape (`names.FileName`). The
    space before it says that the bytes were read as text, which on POSIX systems is the same as
    binary.
    """
    return f"{sha256}  {name}\n".encode("ascii")
