"""How a drop's file is laid out, and what came of rendering it: values without any computation.

Definitions and manifests are made of these. `render` and `formats`, which need Arrow, use them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sinks.rendering.compress import BLOCK_BYTES, Compression

__all__ = [
    "FORMULA_BEGINNINGS",
    "ISO_WITH_OFFSET",
    "MOMENT_FORMATS",
    "BooleanFormat",
    "DatePattern",
    "Formulas",
    "Layout",
    "Rendered",
    "RenderedColumn",
    "Separator",
    "TimePattern",
    "ValueFormats",
]


class BooleanFormat(StrEnum):
    """How true and false are written."""

    DIGITS = "1/0"
    LETTERS = "Y/N"
    WORDS = "TRUE/FALSE"


class Formulas(StrEnum):
    """What becomes of text attributes that a spreadsheet would take for a formula."""

    KEEP = "keep"
    ESCAPE = "escape"


FORMULA_BEGINNINGS: Final = ("=", "+", "-", "@", "\t", "\r")
"""The characters that a formula begins with, for a spreadsheet."""


class DatePattern(StrEnum):
    """How a date is written."""

    ISO = "yyyy-MM-dd"
    DAY_FIRST = "dd/MM/yyyy"
    MONTH_FIRST = "MM/dd/yyyy"
    DAY_FIRST_DASHES = "dd-MM-yyyy"
    COMPACT = "yyyyMMdd"


class TimePattern(StrEnum):
    """How the time of a moment is written, after its date."""

    NONE = ""
    MINUTES = " HH:mm"
    SECONDS = " HH:mm:ss"
    MILLISECONDS = " HH:mm:ss.SSS"


ISO_WITH_OFFSET: Final = "ISO 8601"
"""Moments as 2026-03-29T03:00:00.000+02:00: always with milliseconds and a numeric offset."""

MOMENT_FORMATS: Final = (
    *(f"{date}{time}" for date in DatePattern for time in TimePattern),
    ISO_WITH_OFFSET,
)


@dataclass(frozen=True, slots=True)
class ValueFormats:
    """The formats of an export's values, and the time zone in which its moments are written."""

    boolean: BooleanFormat = BooleanFormat.LETTERS
    date: DatePattern = DatePattern.ISO
    moment: str = "yyyy-MM-dd HH:mm:ss"
    values_separator: str = "|"
    time_zone: str = "UTC"


class Separator(StrEnum):
    """The separator between the fields of a line."""

    COMMA = ","
    SEMICOLON = ";"
    TAB = "\t"


@dataclass(frozen=True, slots=True)
class RenderedColumn:
    """A column: its name in the data, its header, and whether formulas in it are escaped."""

    name: str
    header: str
    escapes: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """All settings that decide how rows become bytes.

    block_bytes: maximum bytes of the values that are compressed together. None: a block has 65,536
    rows of any size, as in drops that were decided before blocks had a limit.
    """

    columns: Sequence[RenderedColumn]
    formats: ValueFormats = field(default_factory=ValueFormats)
    separator: Separator = Separator.COMMA
    compression: Compression = Compression.NONE
    block_bytes: int | None = BLOCK_BYTES


@dataclass(frozen=True, slots=True)
class Rendered:
    """The result of rendering a file.

    rows: lines below the header. bytes, sha256 (hexadecimal): of the file as delivered. inner_name:
    the name of the file in a zip archive.
    """

    rows: int
    bytes: int
    sha256: str
    warnings: tuple[str, ...]
    inner_name: str | None = None
