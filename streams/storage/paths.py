"""Names of stored files as values: one frozen class for each kind of file, from one template.

A class says where its files are (`TEMPLATE`) and what they are (`WHAT`). Formatting, parsing and
listing follow from that, so that no other module joins or splits such a name. A name is relative to
the root of its store, with `/` between folders. `parse(str(path)) == path` holds for every value.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from operator import attrgetter
from string import Formatter
from typing import Annotated, Any, ClassVar, Final, Self, get_args, get_origin, get_type_hints

from schemas.errors import PartitionError

__all__ = ["NamePart", "StoredPath", "part_of"]


@dataclass(frozen=True, slots=True)
class NamePart:
    """How a field's value is written in a name; given with the field's type, by `Annotated`.

    pattern: a regular expression without capturing groups. parse: may raise ValueError. shape: what
    a message calls it; if empty, the field's name in capitals.
    """

    pattern: str
    parse: Callable[[str], Any] = str
    text: Callable[[Any], str] | None = None
    shape: str = ""
    spec: str = "s"


_TEXT: Final = NamePart("[^/]+")
_DAY: Final = NamePart("[0-9]{4}-[0-9]{2}-[0-9]{2}", dt.date.fromisoformat, shape="YYYY-MM-DD")


class StoredPath:
    """Base of the classes that name stored files: frozen dataclasses with slots.

    The template has each field once, in the order of the fields. It gives an `int` its width
    (`{first:020d}`), so that names sort as numbers. A `str` is any text without `/`. A `NamePart`
    describes a field of another type.
    """

    __slots__ = ()

    TEMPLATE: ClassVar[str]
    """Name of a file, with the fields in braces: `coverage/{partition}/{first:020d}`."""
    WHAT: ClassVar[str]
    """What such a file is, for messages: `a coverage record`."""

    def __str__(self) -> str:
        """Name of the file."""
        return _form_of(type(self)).format(self)

    @classmethod
    def parse(cls, name: str) -> Self:
        """Parse a name; raises PartitionError, with the expected form, if it isn't of this kind."""
        path = cls.match(name)
        if path is None:
            raise PartitionError(
                what=f"{name!r} is not the name of {cls.WHAT}",
                hint=f"expected {_form_of(cls).shape}",
            )
        return path

    @classmethod
    def match(cls, name: str) -> Self | None:
        """Parse a name; None if it isn't of this kind."""
        form = _form_of(cls)
        found = form.fullmatch(name)
        if found is None:
            return None
        try:
            pairs = zip(form.parsers, found.groups(), strict=True)
            return cls(*[parse(text) for parse, text in pairs])
        except ValueError:  # for example digits that are no date
            return None

    @classmethod
    def among(cls, names: Iterable[str]) -> Iterator[Self]:
        """Yield those names that are of this kind; other files in the folder are left out."""
        return (path for name in names if (path := cls.match(name)) is not None)

    @classmethod
    def first_of_each_folder(cls, names: Iterable[str]) -> Iterator[Self]:
        """Yield the first name of this kind in each folder, if one name of many is enough."""
        seen = set()
        for name in names:
            folder = name.rpartition("/")[0]
            if folder not in seen and (path := cls.match(name)) is not None:
                seen.add(folder)
                yield path

    @classmethod
    def folder(cls, *leading: object) -> str:
        """Return the folder of all files whose first fields have these values, for listings.

        The last value may be the beginning of its field's text, up to a `/`.
        """
        return _form_of(cls).folder(leading)

    @classmethod
    def top(cls) -> str:
        """Return the top folder of these files; files of other kinds may be in it too."""
        return cls.TEMPLATE.partition("/")[0]


class _Form:
    """A class's template, compiled, as hundreds of thousands of names are parsed."""

    def __init__(self, kind: type[StoredPath]) -> None:
        parts = part_of(kind)
        names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        if list(parts) != names:
            raise TypeError(f"{kind.__qualname__} has {names}, its template {list(parts)}")
        self.parsers = [part.parse for part in parts.values()]
        self._text = [part.text for part in parts.values()]
        self._is_plain = not any(self._text)
        self._get = _getter(names)
        self._template = _filled(kind.TEMPLATE, lambda name: f"%{parts[name].spec}")
        pattern = _filled(kind.TEMPLATE, lambda name: f"({parts[name].pattern})", re.escape)
        self.fullmatch = re.compile(pattern).fullmatch
        self.shape = _filled(kind.TEMPLATE, lambda name: parts[name].shape or _capitals(name))

    def format(self, path: StoredPath) -> str:
        values = self._get(path)
        return self._template % (values if self._is_plain else self._texts(values))

    def folder(self, leading: tuple[object, ...]) -> str:
        left = self._texts(leading)
        whole = []
        for segment in self._template.split("/")[:-1]:
            count = segment.count("%")
            if count > len(left):
                break
            whole.append(segment % left[:count])
            left = left[count:]
        return "/".join(whole)

    def _texts(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        pairs = zip(self._text, values, strict=False)
        return tuple([value if text is None else text(value) for text, value in pairs])


_FORMS: Final[dict[type[StoredPath], _Form]] = {}


def _form_of(kind: type[StoredPath]) -> _Form:
    form = _FORMS.get(kind)
    if form is None:
        form = _FORMS[kind] = _Form(kind)
    return form


def part_of(kind: type[StoredPath]) -> dict[str, NamePart]:
    """Return how each field of a class stands in its template, in order."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        name: _part(hints[name], spec or "")
        for _, name, spec, _ in Formatter().parse(kind.TEMPLATE)
        if name is not None
    }


def _part(hint: Any, spec: str) -> NamePart:
    if get_origin(hint) is Annotated:
        return next(part for part in get_args(hint) if isinstance(part, NamePart))
    if hint is int:
        return NamePart(f"[0-9]{{{int(spec.removesuffix('d'))}}}", int, spec=spec)
    if hint is dt.date:
        return _DAY
    if hint is str:
        return _TEXT
    raise TypeError(f"a field of type {hint} has no place in a name")


def _filled(template: str, field: Callable[[str], str], literal: Callable[[str], str] = str) -> str:
    return "".join(
        literal(text) + (field(name) if name is not None else "")
        for text, name, _, _ in Formatter().parse(template)
    )


def _getter(names: list[str]) -> Callable[[object], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda path: tuple([getattr(path, name) for name in names])


def _capitals(name: str) -> str:
    return name.upper().replace("_", "-")
