"""Records that show a change: each carries a format version and a checksum of its own.

Both are added when a record is written, and checked whenever it is read. The checksum is a SHA-256
of the record's name and content, so a record that was copied to another name is noticed too. It
finds what went wrong, and edits by hand; whoever can write the root can also make a new checksum.

In a JSON object they are the last two fields, `format` and `checksum`. In any other text they are a
last line: `format 2 checksum …`. Records of format 1, by earlier releases, have neither and stay
readable. A record of a later format is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Final, TypeVar

from schemas.errors import DeltadropError, PartitionError
from streams.storage.store import Store

__all__ = [
    "RESTORE_IT",
    "AlteredRecordError",
    "checked",
    "create_checked",
    "read_checked",
    "with_checksum",
    "write_checked",
]

T = TypeVar("T")

RESTORE_IT: Final = "restore it from a backup"
"""The hint where nothing else helps."""

_FORMAT: Final = 2
"""The first format with a checksum, and the one that is written."""
_UNCHECKED: Final = 1
_FIELDS: Final = re.compile(
    rb'[,{]\s*"format": ?([0-9]{1,9})(,\s*"checksum": ?"([0-9a-f]{64})"\s*\}\s*)', re.ASCII
)
_LINE: Final = re.compile(rb"(?m)^format ([0-9]{1,9})( checksum ([0-9a-f]{64})\n)", re.ASCII)
_UNPARSABLE: Final = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)
"""What parsing raises for content of another shape."""
_LONGEST_END: Final = 160
"""Bytes at the end of a record that hold its format and checksum."""


class AlteredRecordError(PartitionError):
    """A record was read, and isn't as it was written. A store that doesn't answer raises another
    PartitionError.
    """


class _AlteredError(ValueError):
    """A record isn't as it was written. hint: what to do, if not what its reader says."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


def with_checksum(name: str, content: bytes) -> bytes:
    """Return a record's content with its format version and checksum.

    name: the name that it is stored under. content: a JSON object, or text that ends with a line
    feed.
    """
    if not content.startswith(b"{"):
        head = b"%sformat %d" % (content, _FORMAT)
        return b"%s checksum %s\n" % (head, _checksum(name, head))
    between, end = (b"\n ", b"\n}\n") if content.startswith(b"{\n") else (b"", b"}")
    fields = content.rstrip()[:-1].rstrip()
    comma = b"" if fields == b"{" else b","
    head = b'%s%s%s"format": %d' % (fields, comma, between, _FORMAT)
    return b'%s,%s"checksum": "%s"%s' % (head, between, _checksum(name, head), end)


def checked(name: str, content: bytes) -> bytes:
    """Return a record's content without its format version and checksum, which are right.

    Raises ValueError if the record isn't as it was written, or is of a later format.
    """
    is_object = content.startswith(b"{")
    start = max(len(content) - _LONGEST_END, 0)
    found = _found_at_end(_FIELDS if is_object else _LINE, content, start)
    if found is None:
        _refuse_stripped(content, is_object=is_object)
        return content
    number, end, checksum = found.groups()
    if int(number) > _FORMAT:
        raise _later(int(number))
    if checksum != _checksum(name, content[: len(content) - len(end)]):
        raise _AlteredError("was changed after it was written: its checksum is of other content")
    before = content[: found.start()]
    return (before or b"{") + b"}" if is_object else before


def create_checked(store: Store, name: str, content: bytes) -> bool:
    """Create a record; see `Store.create`."""
    return store.create(name, with_checksum(name, content))


def write_checked(store: Store, name: str, content: bytes) -> None:
    """Write a record, replacing an earlier one; see `Store.write`."""
    whole = with_checksum(name, content)
    store.write(name, lambda file: file.write(whole))


def read_checked(
    store: Store,
    name: str,
    parse: Callable[[bytes], T],
    *,
    kind: str = "this record",
    error: type[DeltadropError] = AlteredRecordError,
    hint: str = RESTORE_IT,
) -> T:
    """Read a record and check it; one request.

    Raises FileNotFoundError, or `error` with the record's place if it isn't as it was written.
    kind: what the error calls it. hint: what to do then.
    """
    content = store.read(name)
    try:
        return parse(checked(name, content))
    except _AlteredError as altered:
        what, hint = f"{kind} {altered.what}", altered.hint or hint
        raise error(what=what, where=store.address(name), hint=hint) from altered
    except DeltadropError as fault:
        what = f"{kind} isn't right: {fault.what}"
        raise error(what=what, where=store.address(name), hint=hint) from fault
    except _UNPARSABLE as fault:
        what = f"{kind} isn't as it was written, and can't be read"
        raise error(what=what, where=store.address(name), hint=hint) from fault


def _checksum(name: str, head: bytes) -> bytes:
    digest = hashlib.sha256(name.encode() + b"\n")
    digest.update(head)
    return digest.hexdigest().encode()


def _found_at_end(form: re.Pattern[bytes], content: bytes, start: int) -> re.Match[bytes] | None:
    last = None
    for found in form.finditer(content, start):
        last = found
    return last if last is not None and last.end() == len(content) else None


def _refuse_stripped(content: bytes, *, is_object: bool) -> None:
    """Raise ValueError if a record without a checksum says that it is of a format that has one."""
    if not is_object or not (b'"format"' in content or b'"checksum"' in content):
        return
    fields = json.loads(content)
    number = fields.get("format", _UNCHECKED)
    if isinstance(number, int) and number > _FORMAT:
        raise _later(number)
    if number != _UNCHECKED or "checksum" in fields:
        raise _AlteredError("was changed after it was written: its checksum isn't at its end")


def _later(number: int) -> _AlteredError:
    return _AlteredError(
        f"is of format {number}, and this release knows formats up to {_FORMAT}",
        "use the release that wrote it, or a later one",
    )
