"""Strict reader of a CSV file: every line must follow the dialect in the manifest.

In pieces without quotes and CR, all lines are checked at once; other pieces are read line by line.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NoReturn

import numpy as np

from sinks.wording import counted

__all__ = ["CsvCheck", "SpoiltError"]

_LONGEST_LINE: Final = 64 * 1024 * 1024
"""Maximum bytes of one line. No event is as long, since Kafka accepts 1 MB by default."""


class SpoiltError(Exception):
    """A file can't be read further: the `check` that failed, and where."""

    def __init__(self, check: str, what: str) -> None:
        super().__init__(what)
        self.check = check


class CsvCheck:
    """Reader of a file's content, for one pass; `rows`: the number of lines read below the header.

    It raises SpoiltError at the first wrong line, as the lines after that can't be separated
    reliably.
    """

    def __init__(self, headers: Sequence[str], separator: str) -> None:
        self.rows = 0
        self._headers = list(headers)
        self._separator = separator.encode()
        mark = re.escape(self._separator)
        field = rb'(?:"[^"]*(?:""[^"]*)*"|[^"\r\n' + mark + rb"]*)"
        self._field = re.compile(field)
        more = b"(?:" + mark + field + b"){%d}" % (len(self._headers) - 1)
        self._right = re.compile(field + more + rb"\n")
        self._line = re.compile(field + rb"(?:" + mark + field + rb")*\n")

    def read(self, content: Iterable[bytes]) -> None:
        """Read and check all of `content`; raises SpoiltError."""
        pieces = _whole_records(_utf8(content))
        first = next(pieces, b"")
        self._read_piece(self._without_header(first))
        for piece in pieces:
            self._read_piece(piece)

    def _without_header(self, piece: bytes) -> bytes:
        if piece.startswith(codecs.BOM_UTF8):
            raise SpoiltError("dialect", "begins with a byte order mark")
        header = self._line.match(piece)
        if header is None and piece.partition(b"\n")[0].endswith(b"\r"):
            raise SpoiltError("dialect", "line 1 ends in CR LF, not LF")
        if header is None:
            raise SpoiltError("header", "there is no header line" if piece else "the file is empty")
        found = self._fields(header[0])
        if found != self._headers:
            raise SpoiltError("header", f"is {found}, the manifest says {self._headers}")
        return piece[header.end() :]

    def _read_piece(self, piece: bytes) -> None:
        if b'"' in piece or b"\r" in piece:
            self._read_record_by_record(piece)
        elif piece:
            self._count(piece)

    def _count(self, piece: bytes) -> None:
        """Check the number of fields of all lines at once; the piece has no quotes."""
        data = np.frombuffer(piece, np.uint8)
        ends = np.flatnonzero(data == ord("\n"))
        separators = np.flatnonzero(data == ord(self._separator))
        fields = np.diff(np.searchsorted(separators, ends), prepend=0) + 1
        wrong = np.flatnonzero(fields != len(self._headers))
        if wrong.size:
            self.rows += int(wrong[0])
            self._refuse_count(int(fields[wrong[0]]))
        self.rows += len(ends)

    def _read_record_by_record(self, piece: bytes) -> None:
        position = 0
        while position < len(piece):
            line = self._right.match(piece, position)
            if line is None:
                self._refuse(self._line.match(piece, position))
            position = line.end()
            self.rows += 1

    def _refuse(self, line: re.Match[bytes] | None) -> NoReturn:
        if line is None:
            what = f"row {self.rows + 1}: a quote or line break out of place"
            raise SpoiltError("dialect", what)
        self._refuse_count(len(self._field_texts(line[0])))

    def _refuse_count(self, count: int) -> NoReturn:
        expected, fields = len(self._headers), counted(count, "field")
        raise SpoiltError("columns", f"row {self.rows + 1} has {fields}, not {expected}")

    def _field_texts(self, line: bytes) -> list[bytes]:
        fields, position = [], 0
        while position < len(line):
            found = self._field.match(line, position)
            assert found is not None  # the line has matched as a whole
            fields.append(found[0])
            position = found.end() + 1
        return fields

    def _fields(self, line: bytes) -> list[str]:
        texts = (text.decode() for text in self._field_texts(line))
        return [text[1:-1].replace('""', '"') if text[:1] == '"' else text for text in texts]


def _utf8(content: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces as they are; raises SpoiltError if they aren't UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    position = 0
    try:
        for piece in content:
            decoder.decode(piece)
            position += len(piece)
            yield piece
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise SpoiltError("dialect", f"isn't UTF-8 near byte {position + error.start}") from error


def _whole_records(content: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the content in pieces that end at a line break outside of quotes."""
    rest = b""
    for piece in content:
        rest += piece
        end = _last_record_end(rest)
        if end:
            yield rest[:end]
            rest = rest[end:]
        if len(rest) > _LONGEST_LINE:
            raise SpoiltError(
                "dialect", f"a line is over {_LONGEST_LINE} bytes: a quote may be missing"
            )
    if rest and not rest.endswith(b"\n"):
        raise SpoiltError("dialect", "the last line doesn't end: it may be cut off")
    yield rest  # if it has an odd number of quotes, reading its lines finds the wrong one


def _last_record_end(data: bytes) -> int:
    """Where the last line break outside of quotes ends: after an even number of quotes; else 0."""
    quotes = data.count(b'"')
    end = len(data)
    while (at := data.rfind(b"\n", 0, end)) >= 0:
        quotes -= data.count(b'"', at, end)
        if quotes % 2 == 0:
            return at + 1
        end = at
    return 0
