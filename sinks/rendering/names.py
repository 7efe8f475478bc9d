"""Names of the files that an export writes: `<name><suffix>` with dates in them (SPEC §4, §7).

Dates are those of the close instant in the export's time zone. A pattern says whether two days
always have different names, and whether two patterns could ever give the same name. So both are
checked before anything runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final

from sinks.rendering.compress import Compression
from sinks.wording import counted

__all__ = ["FileName", "NamePattern", "PatternError"]

_FIELDS: Final = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}
_DATE_TOKEN: Final = re.compile(r"yyyy|MM|dd|HH|mm|ss|'[^']*'|[^A-Za-z']")
_NAME_TOKEN: Final = re.compile(r"<([^<>]*)>|([^<>]+)")
_SAFE: Final = re.compile(r"[A-Za-z0-9._+=@~-]*")
_LONGEST: Final = 200
"""Maximum characters of a file name's stem. File systems allow 255 bytes; temporary names and
`.manifest.json` need the rest.
"""


class PatternError(ValueError):
    """A name pattern can't be used."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A literal text, or (`field`) a field of the date, such as yyyy."""

    text: str
    field: bool = False


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A file name without its extension, with placeholders for the date."""

    parts: tuple[_Part, ...]

    @classmethod
    def of_dates(cls, text: str) -> NamePattern:
        """Parse a pattern like `_yyyyMMdd`; PatternError for other letters that aren't quoted."""
        parts: list[_Part] = []
        position = 0
        while position < len(text):
            token = _DATE_TOKEN.match(text, position)
            if token is None:
                known = ", ".join(_FIELDS)
                raise PatternError(
                    f"'{text}': {text[position]!r} isn't one of {known}; quote other text with '"
                )
            position = token.end()
            found = token[0]
            parts.append(_Part(found, True) if found in _FIELDS else _Part(_safe(found.strip("'"))))
        return cls(tuple(parts))

    @classmethod
    def of_file(cls, text: str, named: Mapping[str, NamePattern]) -> NamePattern:
        """Parse a pattern like `<name><suffix>`, with names of `named` or date patterns in angle
        brackets. Raises PatternError for others.
        """
        parts: list[_Part] = []
        if "".join(token[0] for token in _NAME_TOKEN.finditer(text)) != text:
            raise PatternError(f"'{text}': a '<' or '>' without its partner")
        for placeholder, literal in _NAME_TOKEN.findall(text):
            if literal:
                parts.append(_Part(_safe(literal)))
            elif placeholder in named:
                parts.extend(named[placeholder].parts)
            else:
                parts.extend(_placeholder(placeholder, named).parts)
        return cls(tuple(parts))

    @classmethod
    def of_text(cls, text: str) -> NamePattern:
        """A pattern that always gives `text`; PatternError if file names can't contain it."""
        return cls((_Part(_safe(text)),))

    @property
    def names_each_day(self) -> bool:
        """Whether two days always have different names."""
        fields = {part.text for part in self.parts if part.field}
        return {"yyyy", "MM", "dd"} <= fields

    def at(self, local: datetime) -> str:
        """The name at a local moment."""
        return "".join(_written(part, local) for part in self.parts)

    def could_equal(self, other: NamePattern) -> bool:
        """Whether two patterns could ever give the same name.

        Any digit counts as possible in a date's place; upper and lower case count as the same.
        """
        ours, theirs = self._places(), other._places()
        return len(ours) == len(theirs) and all(
            a == b
            or (a is None and (b is None or b.isdigit()))
            or (b is None and a is not None and a.isdigit())
            for a, b in zip(ours, theirs, strict=True)
        )

    def _places(self) -> list[str | None]:
        """Each character of the name, in lower case, as some servers ignore case; None for a digit
        of the date.
        """
        return [
            character
            for part in self.parts
            for character in ([None] * len(part.text) if part.field else part.text.lower())
        ]


def _placeholder(text: str, named: Mapping[str, NamePattern]) -> NamePattern:
    try:
        pattern = NamePattern.of_dates(text)
    except PatternError:
        pattern = NamePattern(())
    if not any(part.field for part in pattern.parts):
        known = ", ".join(f"<{name}>" for name in named)
        raise PatternError(
            f"<{text}> is neither one of {known} nor a date pattern such as <yyyyMMdd>"
        )
    return pattern


def _safe(text: str) -> str:
    if not _SAFE.fullmatch(text):
        bad = next(character for character in text if not _SAFE.fullmatch(character))
        raise PatternError(
            f"{bad!r} can't be in a file name here; letters, digits and . _ + = @ ~ - can"
        )
    return text


def _written(part: _Part, local: datetime) -> str:
    if not part.field:
        return part.text
    return f"{local.year:04}" if part.text == "yyyy" else local.strftime(_FIELDS[part.text])


@dataclass(frozen=True, slots=True)
class FileName:
    """The name of a delivered file: its stem, revision (0: the first drop) and compression.

    It is also used for the file in an archive, without compression. Raises PatternError if the stem
    is empty, too long, or ends like a revision.
    """

    stem: str
    revision: int = 0
    compression: Compression = Compression.NONE

    _FORM: ClassVar = re.compile(
        r"(?P<stem>.+?)(?:-r(?P<revision>[1-9][0-9]*))?(?P<ending>"
        + "|".join(re.escape(compression.ending) for compression in Compression)
        + ")"
    )

    def __post_init__(self) -> None:
        if not self.stem or len(self.stem) > _LONGEST:
            raise PatternError(
                f"'{self.stem}' has {counted(len(self.stem), 'character')}; "
                f"1 to {_LONGEST} can be used"
            )
        if re.search(r"-r[0-9]+$", self.stem):
            raise PatternError(
                f"'{self.stem}' ends like a revision (-r1); put something else at its end"
            )

    def __str__(self) -> str:
        revision = f"-r{self.revision}" if self.revision else ""
        return f"{self.stem}{revision}{self.compression.ending}"

    @property
    def manifest(self) -> str:
        """The name of the manifest beside the file."""
        return f"{self}.manifest.json"

    @classmethod
    def parse(cls, name: str) -> FileName:
        """Parse a name; ValueError if it isn't the name of a delivered file."""
        found = cls._FORM.fullmatch(name)
        if found is None:
            endings = ", ".join(known.ending for known in Compression)
            what = f"<stem>[-r<n>] and one of {endings}"
            raise ValueError(f"'{name}' isn't the name of a drop: {what}")
        compression = next(known for known in Compression if known.ending == found["ending"])
        return cls(found["stem"], int(found["revision"] or 0), compression)
