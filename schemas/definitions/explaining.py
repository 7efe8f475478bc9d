"""Explanations of pydantic's errors in plain words: `field 'x': what is wrong`, and a hint."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import date
from typing import Final, cast, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from schemas.definitions.patterns import meaning_of_pattern

__all__ = [
    "AtError",
    "Location",
    "Quote",
    "choices",
    "explain",
    "in_quotes",
    "location_of",
    "shown",
]

Location = tuple[str | int, ...]
"""The path to a value in a document: keys and list positions from the root."""

Quote = Callable[[object], str]
"""How a message quotes a value, as `shown` does."""


class AtError(ValueError):
    """A fault that a model's validator raises about a field below the model.

    location: the path to the field, from the model.
    """

    def __init__(self, location: Location, what: str) -> None:
        super().__init__(what)
        self.location = location


_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
"""A key that is shown where values are withheld: what isn't a name may be a value without a key."""
_GROUP = ("{given} isn't a group of fields", "write its fields below it, indented")
_LIST = ("{given} isn't a list", "write it as [one, another]")
_WORDED: Final = {
    "missing": ("is missing", ""),
    "tuple_type": _LIST,
    "list_type": _LIST,
    "too_short": ("the list is too short", "it has {min_length} or more"),
    "string_too_short": ("{given} is too short", "it has {min_length} or more characters"),
    "string_too_long": ("{given} is too long", "it has up to {max_length} characters"),
    "greater_than_equal": ("{given} is too small", "it's {ge} or more"),
    "greater_than": ("{given} is too small", "it's more than {gt}"),
    "less_than_equal": ("{given} is too large", "it's up to {le}"),
    "less_than": ("{given} is too large", "it's less than {lt}"),
    "bool_parsing": ("{given} isn't true or false", ""),
    "bool_type": ("{given} isn't true or false", ""),
    "int_parsing": ("{given} isn't a whole number", ""),
    "int_parsing_size": ("{given} isn't a whole number", ""),
    "int_from_float": ("{given} isn't a whole number", ""),
    "int_type": ("{given} isn't a whole number", ""),
    "float_parsing": ("{given} isn't a number", ""),
    "float_type": ("{given} isn't a number", ""),
    "finite_number": ("{given} isn't a number", ""),
    "string_type": ("{given} isn't text", ""),
    "model_type": _GROUP,
    "dict_type": _GROUP,
    "path_type": ("{given} isn't a path", ""),
}
"""For each type of a pydantic error: what is wrong, and what would be right."""


def explain(
    detail: ErrorDetails,
    model: type[BaseModel],
    source: str | None = None,
    within: Location = (),
    quote: Quote | None = None,
) -> tuple[str, str]:
    """(what is wrong, what would be right) for a pydantic error.

    source: the value's text in the file, if the value isn't a string. within: the path to the
    model. quote: how the value is quoted; `shown` by default.
    """
    location = (*within, *location_of(detail))
    if quote is not None and detail["type"] == "extra_forbidden":
        location = (*location[:-1], *filter(_NAME.fullmatch, [str(location[-1])]))
    name = f"field '{_dotted(location)}': " if location else ""
    what, hint = _described(detail, model, source, quote or shown)
    if _is_empty(detail, source):
        what, hint = "is empty", "" if detail["type"].startswith("string_") else hint
    return f"{name}{what}", hint


def _is_empty(detail: ErrorDetails, source: str | None) -> bool:
    of_text = detail["type"] == "string_too_short" and detail["input"] == ""
    return of_text or (detail["input"] is None and source == "")


def _described(
    detail: ErrorDetails, model: type[BaseModel], source: str | None, quote: Quote
) -> tuple[str, str]:
    given = detail["input"] if source is None else source
    context: Mapping[str, object] = detail.get("ctx") or {}
    match detail["type"]:
        case "extra_forbidden":
            location = location_of(detail)
            return "unknown key", choices(str(location[-1]), _keys_around(model, location))
        case "enum" | "literal_error":
            expected = str(context["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
            return f"{quote(given)} isn't one of them", choices(str(given), expected)
        case "string_type" if source:
            return _not_text(detail["input"], source, quote)
        case "value_error":
            return str(context["error"]), ""
        case "string_pattern_mismatch":
            return f"{quote(given)} isn't allowed", meaning_of_pattern(str(context["pattern"]))
        case str(kind) if kind in _WORDED:
            what, hint = _WORDED[kind]
            return what.format(given=quote(given), **context), hint.format(**context)
    message = detail["msg"]
    return f"{message[:1].lower()}{message[1:]}, not {quote(given)}", ""


def in_quotes(
    detail: ErrorDetails, source: str, within: Location = (), quote: Quote | None = None
) -> tuple[str, str]:
    """(how YAML reads a text, the hint to put it in quotes). Arguments: as in `explain`."""
    what, hint = _not_text(detail["input"], source, quote or shown)
    return f"field '{_dotted((*within, *location_of(detail)))}': {what}", hint


def _not_text(value: object, source: str, quote: Quote) -> tuple[str, str]:
    if quote(source) != shown(source):  # then its reading isn't shown either
        return f"{quote(source)} isn't text: YAML reads it otherwise", "put it in quotes"
    hint = f'put it in quotes: "{source}"' if len(source) <= _SHOWN else "put it in quotes"
    return f"{quote(source)} isn't text: YAML reads it as {_reading(value)}", hint


def _reading(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "nothing"
        case int() | float():
            return f"the number {value}" if abs(value) < _LARGE else "a number"
        case date():
            return "a date"
    return "something else"


def location_of(detail: ErrorDetails) -> Location:
    """The path to the value that a pydantic error is about."""
    cause = (detail.get("ctx") or {}).get("error")
    return (*detail["loc"], *(cause.location if isinstance(cause, AtError) else ()))


def choices(given: str, expected: Iterable[str]) -> str:
    """The hint for a value outside a closed list: all valid values, and the one nearest to `given`.

    It is empty if there are no valid values.
    """
    valid = list(expected)
    if not valid:
        return ""
    near = difflib.get_close_matches(given, valid, n=1, cutoff=0.6) or difflib.get_close_matches(
        given.lower(), [option.lower() for option in valid], n=1, cutoff=0.6
    )
    nearest = next((option for option in valid if near and option.lower() == near[0].lower()), None)
    listed = f"choose from {', '.join(valid)}"
    return f"{listed}; nearest match '{nearest}'" if nearest else listed


_LARGE: Final = 1e15
"""Numbers from here on aren't shown: a reader wouldn't recognise them."""
_SHOWN: Final = 60
"""Maximum characters of a value in a message."""
_AS_WRITTEN: Final = {"None": "null", "True": "true", "False": "false"}


def shown(value: object) -> str:
    """A value as messages show it: in quotes, and cut if it is long."""
    text = str(value)
    if not isinstance(value, str):
        text = _AS_WRITTEN.get(text, text)
    return f"'{text}'" if len(text) <= _SHOWN else f"'{text[: _SHOWN - 3]}...'"


def _dotted(location: Location) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _keys_around(model: type[BaseModel], location: Location) -> list[str]:
    """The valid keys of the mapping that contains `location`."""
    here: type[BaseModel] | None = model
    for part in location[:-1]:
        if isinstance(part, str) and here is not None:
            named = next((f for n, f in here.model_fields.items() if part in (n, f.alias)), None)
            here = _model_in(named.annotation) if named else None
    return [info.alias or name for name, info in here.model_fields.items()] if here else []


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(
        filter(None, (_model_in(cast(Hashable, inner)) for inner in get_args(annotation))),
        None,
    )
