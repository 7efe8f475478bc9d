"""Joining of a schema and its references into one schema that stands alone.

A reference names a version of another subject, whose schema defines named types (Confluent Schema
Registry, "Schema references"). Each named type is inserted where it is used first, under its full
name. After that, its name is enough (Avro 1.11 specification, "Names").
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from schemas.errors import UnusableSchemaError
from schemas.registry.reader import Text

__all__ = ["Reference", "standing_alone"]

Reference: TypeAlias = tuple[str, int]
"""Subject and version."""

_AVRO: Final = "AVRO"
_MOST_BYTES: Final = 1 << 20
_MOST_REFERENCES: Final = 100
_MOST_DEPTH: Final = 16
_NAMED: Final = ("record", "error", "enum", "fixed")
_KNOWN: Final = frozenset(
    {"null", "boolean", "int", "long", "float", "double", "bytes", "string", "array", "map"}
    | set(_NAMED)
)


def standing_alone(text: Text, about: str, referred: Callable[[Reference], Text]) -> Any:
    """An Avro schema as parsed JSON, with all types that it refers to.

    about: names the schema in errors. referred: fetches the schema of a reference; its errors are
    passed on. Raises UnusableSchemaError if a schema isn't Avro, isn't JSON, refers to itself, or
    exceeds a bound: 1 MiB of text, 100 references, 16 levels of references.
    """
    try:
        bundle = _Bundle(about, referred)
        bundle.add(text)
        if not text.references:
            return bundle.main
        return _Joined(bundle.types).of(bundle.main, "")
    except RecursionError:
        raise UnusableSchemaError(f"{about} is nested too deeply") from None


class _Bundle:
    """A schema, and the named types of all its references."""

    def __init__(self, about: str, referred: Callable[[Reference], Text]) -> None:
        self.main: Any = None
        self.types: dict[str, tuple[Any, str]] = {}  # by full name: JSON, enclosing namespace
        self._about = about
        self._referred = referred
        self._seen: set[Reference] = set()
        self._bytes = 0

    def add(self, text: Text) -> None:
        """Read a schema, after all its references."""
        self.main = self._read(text, ())

    def _read(self, text: Text, path: tuple[Reference, ...]) -> Any:
        which = self._about
        if path:
            subject, version = path[-1]
            which = f"{self._about} refers to subject {subject}, version {version}: it"
        if text.kind != _AVRO:
            raise UnusableSchemaError(f"{which} is {text.kind}, not Avro")
        self._bytes += len(text.text)
        if self._bytes > _MOST_BYTES:
            raise UnusableSchemaError(f"{self._about} has more than {_MOST_BYTES:,} bytes")
        for reference in text.references:
            self._refer(reference, path)
        try:
            return json.loads(text.text)
        except ValueError:
            raise UnusableSchemaError(f"{which} isn't JSON") from None

    def _refer(self, reference: Reference, path: tuple[Reference, ...]) -> None:
        if reference in path:
            raise UnusableSchemaError(f"{self._about} has references that go round in a circle")
        if reference in self._seen:
            return
        self._seen.add(reference)
        if len(self._seen) > _MOST_REFERENCES:
            raise UnusableSchemaError(f"{self._about} has more than {_MOST_REFERENCES} references")
        if len(path) >= _MOST_DEPTH:
            raise UnusableSchemaError(
                f"{self._about} has references within each other, more than {_MOST_DEPTH}"
            )
        read = self._read(self._referred(reference), (*path, reference))
        self.types.update(_named_types(read, ""))


def _named_types(schema: Any, namespace: str) -> Iterator[tuple[str, tuple[Any, str]]]:
    """(full name, (schema, namespace around it)) of each named type that a schema defines."""
    if isinstance(schema, list):
        for branch in schema:
            yield from _named_types(branch, namespace)
    elif isinstance(schema, dict):
        inner = namespace
        if schema.get("type") in _NAMED:
            name, inner = _full_name(schema, namespace)
            yield name, (schema, namespace)
        for part in _parts(schema):
            yield from _named_types(part, inner)


def _parts(schema: dict[str, Any]) -> Iterator[Any]:
    fields = schema.get("fields")
    if isinstance(fields, list):
        yield from (field.get("type") for field in fields if isinstance(field, dict))
    for key in ("type", "items", "values"):
        if isinstance(schema.get(key), dict | list):
            yield schema[key]


def _full_name(schema: dict[str, Any], namespace: str) -> tuple[str, str]:
    """(full name, namespace) of a named type."""
    name = str(schema.get("name"))
    if "." in name:
        return name, name.rpartition(".")[0]
    own = schema.get("namespace", namespace)
    inner = own if isinstance(own, str) else ""
    return (f"{inner}.{name}" if inner else name), inner


class _Joined:
    """Inserts each referenced type where it is used first."""

    def __init__(self, types: dict[str, tuple[Any, str]]) -> None:
        self._types = types
        self._defined: set[str] = set()

    def of(self, schema: Any, namespace: str) -> Any:
        """The schema with full names, each type defined at its first use."""
        if isinstance(schema, str):
            return self._used(schema, namespace)
        if isinstance(schema, list):
            return [self.of(branch, namespace) for branch in schema]
        if not isinstance(schema, dict):
            return schema
        joined, inner = dict(schema), namespace
        if schema.get("type") in _NAMED:
            name, inner = _full_name(schema, namespace)
            if name in self._defined and name in self._types:
                return name  # a reference has defined it already
            self._defined.add(name)
            joined |= {"name": name.rpartition(".")[2], "namespace": inner}
        elif "type" in schema:
            joined["type"] = self.of(schema["type"], namespace)
        if isinstance(schema.get("fields"), list):
            joined["fields"] = [self._field(field, inner) for field in schema["fields"]]
        return joined | {key: self.of(schema[key], inner) for key in _INNER if key in schema}

    def _field(self, field: Any, namespace: str) -> Any:
        if not isinstance(field, dict) or "type" not in field:
            return field
        return {**field, "type": self.of(field["type"], namespace)}

    def _used(self, name: str, namespace: str) -> Any:
        if name in _KNOWN:
            return name
        full = f"{namespace}.{name}" if namespace and "." not in name else name
        if full not in self._defined and full not in self._types:
            full = name  # as Avro's own reader does
        if full in self._defined or full not in self._types:
            return full
        schema, around = self._types[full]
        return self.of(schema, around)


_INNER: Final = ("items", "values")
