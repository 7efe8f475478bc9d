"""Results of commands for `--json`: the output is made from the fields of a typed result only, so
that the types are the contract. docs/json.md is made from them, too.

A field's sentence on that page is the string below the field.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar

from schemas.errors import DeltadropError, Fault, WrongInputError

__all__ = ["Failure", "JsonResult", "json_form"]


class JsonResult:
    """A result of a command: a frozen dataclass with a sentence below each field."""

    __slots__ = ()

    JSON_PROPERTIES: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Properties that are printed before the fields: the name in JSON, and the property's name."""

    JSON_INLINE: ClassVar[tuple[str, ...]] = ()
    """Fields that hold a result whose own fields are printed in their place."""
    JSON_OPTIONAL: ClassVar[tuple[str, ...]] = ()
    """Fields that are left out where they are null."""

    def to_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        form: dict[str, Any] = json_form(self)
        return form


@dataclass(frozen=True, slots=True)
class Failure(JsonResult):
    """Why something failed or was refused."""

    where: str
    """The place of the fault: a file and line, an export, a flag; may be empty."""
    what: str
    """What is wrong."""
    hint: str
    """What would be right, or what to do; may be empty."""
    faults: tuple[Fault, ...] | None = None
    """All faults, if input is wrong; the first is also in the fields above."""

    JSON_OPTIONAL = ("faults",)

    @classmethod
    def of(cls, error: DeltadropError) -> Failure:
        """Return the failure for an error."""
        faults = error.faults if isinstance(error, WrongInputError) else None
        return cls(error.where, error.what, error.hint, faults)


def json_form(value: object) -> Any:
    """Return a value in a form for `json.dumps`: dataclasses as objects, moments in them in ISO
    8601, tuples as arrays.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return _object(value)
    if isinstance(value, Mapping):
        return {key: json_form(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [json_form(item) for item in value]
    return value


def _object(value: Any) -> dict[str, Any]:
    kind = type(value)
    inline = getattr(kind, "JSON_INLINE", ())
    optional = getattr(kind, "JSON_OPTIONAL", ())
    properties = getattr(kind, "JSON_PROPERTIES", ())
    form = {name: json_form(getattr(value, own)) for name, own in properties}
    for name in (field.name for field in fields(value)):
        item = getattr(value, name)
        if name in inline:
            form |= json_form(item)
        elif item is not None or name not in optional:
            form[name] = item.isoformat() if isinstance(item, dt.datetime) else json_form(item)
    return form
