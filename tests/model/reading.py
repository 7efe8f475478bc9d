"""What a datum of Avro says, read value by value (Avro 1.12 specification, "Schema Declaration",
"Binary encoding" and "Schema Resolution"; SPEC §6 for what may be read as what).

The plainest reading: no columns, no plans, nothing of the product. It knows no bounds.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any
from uuid import UUID

Json = Any
Node = Any
"""A schema in which names are resolved: a dictionary with `type`, or a list for a union."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXACT = Context(prec=80)
PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
NAMED = ("record", "error", "enum", "fixed")
LOGICAL = {
    "date": ("int",),
    "time-millis": ("int",),
    "time-micros": ("long",),
    "timestamp-millis": ("long",),
    "timestamp-micros": ("long",),
    "timestamp-nanos": ("long",),
    "local-timestamp-millis": ("long",),
    "local-timestamp-micros": ("long",),
    "local-timestamp-nanos": ("long",),
    "uuid": ("string", "fixed"),
    "decimal": ("bytes", "fixed"),
    "big-decimal": ("bytes",),
    "duration": ("fixed",),
}
"""The logical types of the specification and the types that they fit; elsewhere none counts."""


class UnreadableError(Exception):
    """A schema or datum that can't be read."""


@dataclass
class Branch:
    """A value of a union: the branch and its value."""

    node: Node
    value: Any


def nodes_of(schema: Json) -> Node:
    """A schema with its names resolved; UnreadableError if it isn't valid."""
    return _node(schema, "", {})


def _node(schema: Json, space: str, names: dict[str, Node]) -> Node:
    if isinstance(schema, list):
        return [_node(branch, space, names) for branch in schema]
    if isinstance(schema, str):
        return _by_name(schema, space, names)
    if not isinstance(schema, dict):
        raise UnreadableError(f"not a type: {type(schema).__name__}")
    kind = schema.get("type")
    if kind in PRIMITIVES:
        return {"type": kind, **_logical(schema, kind)}
    if kind == "array":
        return {"type": kind, "items": _node(schema.get("items"), space, names)}
    if kind == "map":
        return {"type": kind, "values": _node(schema.get("values"), space, names)}
    if kind in NAMED:
        return _of_name(schema, space, names)
    return _node(kind, space, names)


def _by_name(name: str, space: str, names: dict[str, Node]) -> Node:
    if name in PRIMITIVES:
        return {"type": name}
    for full in (name,) if "." in name else (f"{space}.{name}", name):
        if full in names:
            return names[full]
    raise UnreadableError("an unknown name")


def _of_name(schema: Json, space: str, names: dict[str, Node]) -> Node:
    name, kind = schema.get("name"), schema["type"]
    if not isinstance(name, str):
        raise UnreadableError("no name")
    own = schema.get("namespace", space)
    full = name if "." in name or not own else f"{own}.{name}"
    if full in names:
        raise UnreadableError("defined twice")
    node = {"type": "record" if kind == "error" else kind, "name": full}
    names[full] = node
    if kind == "fixed":
        node["size"] = schema["size"]
        node |= _logical(schema, kind)
    elif kind == "enum":
        node["symbols"] = schema["symbols"]
    else:
        within = full.rpartition(".")[0]
        node["fields"] = [
            {**field, "type": _node(field.get("type"), within, names)} for field in schema["fields"]
        ]
        if len({field["name"] for field in node["fields"]}) < len(node["fields"]):
            raise UnreadableError("a field twice")
    return node


def _logical(schema: Json, kind: str) -> dict[str, Any]:
    """The logical type if it is valid there; otherwise it doesn't count."""
    logical = schema.get("logicalType")
    if not isinstance(logical, str) or kind not in LOGICAL.get(logical, ()):
        return {}
    if logical != "decimal":
        return {"logical": logical}
    precision, scale = schema.get("precision"), schema.get("scale", 0)
    if type(precision) is not int or type(scale) is not int or not 0 <= scale <= precision > 0:
        return {}
    if kind == "fixed" and 2 * 10**precision > 1 << 8 * schema["size"]:
        return {}  # more digits than so many bytes can hold ("Decimal")
    return {"logical": logical, "precision": precision, "scale": scale}


class Datum:
    """Bytes that are read from their beginning."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_at_its_end(self) -> bool:
        return self._at == len(self._data)

    def raw(self, node: Node) -> Any:
        """The next value: texts as bytes, symbols as texts, maps as pairs."""
        if isinstance(node, list):
            branch = node[self._index(len(node))]
            return Branch(branch, self.raw(branch))
        match node["type"]:
            case "null":
                return None
            case "boolean":
                return self._take(1) != b"\0"
            case "int":
                number = self._long()
                if not -(1 << 31) <= number < 1 << 31:
                    raise UnreadableError("more than 32 bits")
                return number
            case "long":
                return self._long()
            case "float" | "double":
                return self._take(4 if node["type"] == "float" else 8)
            case "bytes" | "string":
                return self._take(self._long())
            case "fixed":
                return self._take(node["size"])
            case "enum":
                return node["symbols"][self._index(len(node["symbols"]))]
            case "record":
                return {field["name"]: self.raw(field["type"]) for field in node["fields"]}
            case "array":
                return self._blocks(lambda: self.raw(node["items"]))
            case "map":
                return self._blocks(lambda: (self._take(self._long()), self.raw(node["values"])))
        raise UnreadableError("no such type")

    def _blocks(self, item: Callable[[], Any]) -> list[Any]:
        items: list[Any] = []
        while count := self._long():
            if count < 0:
                self._long()  # the size of the block
            items += [item() for _ in range(abs(count))]
        return items

    def _take(self, size: int) -> bytes:
        if not 0 <= size <= len(self._data) - self._at:
            raise UnreadableError("cut short")
        self._at += size
        return self._data[self._at - size : self._at]

    def _long(self) -> int:
        number = 0
        for shift in range(0, 70, 7):
            (byte,) = self._take(1)
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                number &= (1 << 64) - 1
                return (number >> 1) ^ -(number & 1)
        raise UnreadableError("more than 64 bits")

    def _index(self, count: int) -> int:
        index = self._long()
        if not 0 <= index < count:
            raise UnreadableError("an index outside")
        return index


def read(writer: Json, reader: Json, datum: bytes) -> Any:
    """The value as the reader's schema has it, as JSON: moments and dates in ISO 8601, decimals and
    UUIDs as text. Raises UnreadableError.
    """
    written, wanted = nodes_of(writer), nodes_of(reader)
    if (
        isinstance(written, list)
        or written["type"] != "record"
        or written["name"] != wanted["name"]
    ):
        raise UnreadableError("another record")
    data = Datum(datum)
    raw = data.raw(written)
    if not data.is_at_its_end:
        raise UnreadableError("bytes left over")
    return resolved(written, wanted, raw)


def resolved(writer: Node, reader: Node, raw: Any) -> Any:
    """A raw value as the reader has it. Readers' unions are of null and one other type."""
    if isinstance(writer, list):
        return resolved(raw.node, reader, raw.value)
    if isinstance(reader, list):
        if writer["type"] == "null":
            return None
        (other,) = (branch for branch in reader if branch["type"] != "null")
        return resolved(writer, other, raw)
    logical = reader.get("logical")
    if logical is not None:
        return _of_logical(writer, reader, raw)
    match writer["type"], reader["type"]:
        case "record", "record":
            return _record(writer, reader, raw)
        case "array", "array":
            return [resolved(writer["items"], reader["items"], item) for item in raw]
        case "enum", "enum" if _local(writer) == _local(reader) and raw in reader["symbols"]:
            return raw
        case "boolean", "boolean":
            return raw
        case (("int" | "long"), "long") if "logical" not in writer:
            return raw
        case (("string" | "bytes"), "string") if writer.get("logical") in (None, "uuid"):
            return _text(raw)
    raise UnreadableError(f"{writer['type']} isn't {reader['type']}")


def _local(node: Node) -> str:
    return str(node["name"].rpartition(".")[2])


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise UnreadableError("not UTF-8") from None


def _record(writer: Node, reader: Node, raw: Any) -> dict[str, Any]:
    if _local(writer) != _local(reader):
        raise UnreadableError("another record")
    written = {field["name"]: field["type"] for field in writer["fields"]}
    values = {}
    for field in reader["fields"]:
        name = field["name"]
        if name in written:
            values[name] = resolved(written[name], field["type"], raw[name])
        elif "default" in field:
            values[name] = json.loads(json.dumps(field["default"]))
        else:
            raise UnreadableError("a required field is missing")
    return values


def _of_logical(writer: Node, reader: Node, raw: Any) -> Any:
    """SPEC §6: a unit or meaning is never guessed."""
    wanted, given = reader["logical"], writer.get("logical")
    match wanted:
        case "uuid" if writer["type"] in ("string", "bytes") and given in (None, "uuid"):
            return _uuid(_text(raw))
        case "date" if given == "date":
            return _within(raw, 1, date(1, 1, 1), date(9999, 12, 31)).date().isoformat()
        case "timestamp-millis" if given in ("timestamp-millis", "timestamp-micros"):
            milliseconds = raw if given == "timestamp-millis" else raw // 1000
            moment = _within(milliseconds, 86_400_000, date(1, 1, 2), date(9999, 12, 30))
            return moment.isoformat(timespec="milliseconds")
        case "decimal" if given == "decimal" and writer["scale"] == reader["scale"]:
            number = int.from_bytes(raw, "big", signed=True)
            if abs(number) < 10 ** reader["precision"]:
                return str(Decimal(number).scaleb(-reader["scale"], EXACT))
    raise UnreadableError(f"{writer} isn't {wanted}")


def _within(number: int, a_day: int, first: date, last: date) -> datetime:
    """The moment so many units after 1970, if its day lies between two."""
    try:
        moment = EPOCH + timedelta(days=1) * (number // a_day)
        if first <= moment.date() <= last:
            return moment + timedelta(milliseconds=number % a_day)
    except OverflowError:
        pass
    raise UnreadableError("out of bounds")


def _uuid(text: str) -> str:
    parts = [len(part) for part in text.split("-")]
    try:
        if parts == [8, 4, 4, 4, 12] and len(text) == 36:
            return str(UUID(text))
    except ValueError:
        pass
    raise UnreadableError("not a UUID")
