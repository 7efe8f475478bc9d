"""Reader of YAML files as plain values, with the line of each value.

Bytes, values and depth of a file are bounded. Only mappings, lists and plain values are read;
YAML's other features (tags, merge keys) are refused with their line.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar, cast

import yaml

from schemas.definitions.explaining import Location, Quote, shown
from schemas.errors import DefinitionError, Fault

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_VALUES", "Document", "Faults", "read_document"]

MAX_BYTES: Final = 1 << 20
"""Maximum bytes of a file; a table of a thousand attributes has a tenth of that."""
MAX_DEPTH: Final = 32
"""Maximum depth of nested values; definitions have up to 6 levels."""
MAX_VALUES: Final = 20_000
"""Maximum number of values in a file; an alias counts with all values that it stands for."""

_LONGEST_NUMBER: Final = 1000
"""Characters of a number up to which an error quotes Python's reason; no setting has as many."""
_QUOTED: Final = re.compile(r"'([^']{2,})'")
"""What PyYAML's errors quote of the file, apart from single characters."""
_TAG: Final = "tag:yaml.org,2002:"
_PLAIN: Final = frozenset(
    _TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp")
)

T = TypeVar("T")


class Faults:
    """A collector of faults, so that a refusal lists them all."""

    def __init__(self) -> None:
        self.found: list[Fault] = []

    def add(self, where: str, what: str, hint: str = "") -> None:
        """Add one fault."""
        self.found.append(Fault(where, what, hint))

    def collect(self, read: Callable[[], T]) -> T | None:
        """Call `read` and return its result; on DefinitionError, add its faults and return None."""
        try:
            return read()
        except DefinitionError as error:
            self.found.extend(error.faults)
            return None

    def raise_if_any(self) -> None:
        """Raise DefinitionError with all faults, if there are any."""
        if self.found:
            raise DefinitionError(self.found)


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file: its plain values, and the line of each, counted from 1."""

    path: Path
    data: Mapping[str, object]
    lines: Mapping[Location, int]
    sources: Mapping[Location, str] = field(default_factory=dict)
    """The file's text for values that aren't strings: `no` for False, "" for an empty value."""

    def where(self, location: Location = ()) -> str:
        """`path:line` of a value; if it isn't in the file, of the nearest value around it."""
        while location and location not in self.lines:
            location = location[:-1]
        return f"{self.path}:{self.lines.get(location, 1)}"


def read_document(path: Path, faults: Faults, quote: Quote = shown) -> Document | None:
    """Read one YAML file, a mapping with strings as keys; if it isn't valid, add the faults and
    return None. quote: how refusals quote what the file has.
    """
    if path.is_dir():
        faults.add(
            str(path),
            "is a folder, not a file",
            "rename it, or move what it holds up one level",
        )
        return None
    text = _text_of(path, faults)
    if text is None:
        return None
    try:
        nodes = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        faults.found.append(_syntax_fault(path, text, error, quote))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"a character that YAML doesn't allow (U+{error.character:04X})"
        faults.add(f"{path}:{line}", what, "remove it")
    except yaml.YAMLError as error:
        faults.add(str(path), f"isn't YAML: {' '.join(str(error).split())}")
    except _TooMuchError as error:
        faults.found.append(error.fault(path))
    else:
        return _document(path, nodes, faults, quote)
    return None


def _text_of(path: Path, faults: Faults) -> str | None:
    content = b""
    try:
        if path.is_symlink() and not path.exists():
            faults.add(str(path), "is a link to what isn't there", "remove it, or mend it")
            return None
        if not stat.S_ISREG(path.stat().st_mode):
            what, hint = "is no ordinary file", "only files are read; move it elsewhere"
            faults.add(str(path), what, hint)
            return None
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        faults.add(str(path), f"can't be read: {error.strerror}")
        return None
    if len(content) > MAX_BYTES:
        what = f"has more than {MAX_BYTES} bytes"
        faults.add(str(path), what, "a file of definitions or settings has a few thousand")
        return None
    try:
        return content.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        faults.add(f"{path}:{line}", f"isn't UTF-8 (byte {error.start})", "save it as UTF-8")
        return None


class _TooMuchError(Exception):
    """A file exceeds a bound, at a line (counted from 0)."""

    def __init__(self, line: int, what: str, hint: str) -> None:
        super().__init__(what)
        self._line, self._what, self._hint = line, what, hint

    def fault(self, path: Path) -> Fault:
        return Fault(f"{path}:{self._line + 1}", self._what, self._hint)


class _Loader(yaml.SafeLoader):
    """A loader that refuses nodes deeper than MAX_DEPTH."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node as SafeLoader does; raises _TooMuchError if it is too deep."""
        if self._depth >= MAX_DEPTH:
            what = f"values lie more than {MAX_DEPTH} deep within each other"
            line = self.peek_event().start_mark.line  # type: ignore[no-untyped-call]
            raise _TooMuchError(line, what, "definitions and settings have a few levels")
        self._depth += 1
        try:
            node: yaml.Node | None = super().compose_node(parent, index)
            return node
        finally:
            self._depth -= 1


def _syntax_fault(path: Path, text: str, error: yaml.MarkedYAMLError, quote: Quote) -> Fault:
    mark = error.problem_mark
    where = f"{path}:{mark.line + 1 if mark else 1}"
    if mark and error.problem and "'\\t'" in error.problem:
        if text.split("\n")[mark.line][: mark.column].strip():
            return Fault(where, "a tab within the line", "write a space in its place")
        return Fault(where, "a tab in the indentation", "YAML is indented with spaces")
    reason = _QUOTED.sub(lambda found: quote(found[1]), error.problem or error.context or "")
    return Fault(where, f"isn't YAML: {reason}")


def _document(
    path: Path, nodes: Sequence[yaml.Node | None], faults: Faults, quote: Quote
) -> Document | None:
    present = [node for node in nodes if node is not None]
    if not present or _is_null(present[0]):
        faults.add(f"{path}:1", "the file is empty", "remove it, or write the definition")
        return None
    if len(present) > 1:
        faults.add(
            f"{path}:{present[1].start_mark.line + 1}",
            "a second document",
            "one definition for each file",
        )
        return None
    plain = _Plain(path, faults, quote)
    before = len(faults.found)
    try:
        data = plain.value(present[0], ())
    except _TooMuchError as error:
        faults.found.append(error.fault(path))
        return None
    if not isinstance(data, dict) and len(faults.found) == before:
        faults.add(
            f"{path}:1",
            "isn't a mapping of keys to values",
            "it begins with a line like `key: value`",
        )
    if len(faults.found) > before:
        return None
    return Document(path, cast(dict[str, object], data), plain.lines, plain.sources)


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


@dataclass
class _Plain:
    """Conversion of YAML nodes into plain values; it records the line of each."""

    path: Path
    faults: Faults
    quote: Quote
    lines: dict[Location, int] = field(default_factory=dict)
    sources: dict[Location, str] = field(default_factory=dict)
    within: list[yaml.Node] = field(default_factory=list)
    seen: int = 0

    def value(self, node: yaml.Node, location: Location) -> object:
        self._count(node)
        self.lines.setdefault(location, node.start_mark.line + 1)
        if any(node is outer for outer in self.within):
            self._fault(node, "an alias to a value that holds it", "write the value out")
            return None
        self.within.append(node)
        try:
            if not self._is_plain(node):
                return None
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, location)
            if isinstance(node, yaml.SequenceNode):
                return [
                    self.value(item, (*location, index)) for index, item in enumerate(node.value)
                ]
            return self._scalar(node, location)
        finally:
            self.within.pop()

    def _count(self, node: yaml.Node) -> None:
        self.seen += 1
        if self.seen > MAX_VALUES:
            what = f"more than {MAX_VALUES} values, with what aliases stand for"
            raise _TooMuchError(node.start_mark.line, what, "write less, or without aliases")
        if len(self.within) >= MAX_DEPTH:  # an alias may stand for a deep value
            what = f"values lie more than {MAX_DEPTH} deep within each other"
            hint = "definitions and settings have a few levels"
            raise _TooMuchError(node.start_mark.line, what, hint)

    def _is_plain(self, node: yaml.Node) -> bool:
        if isinstance(node, yaml.MappingNode):
            plain = node.tag == f"{_TAG}map"
        elif isinstance(node, yaml.SequenceNode):
            plain = node.tag == f"{_TAG}seq"
        else:
            plain = node.tag in _PLAIN
        if not plain:
            tag = str(node.tag).replace(_TAG, "!!")
            if tag == "!!value":  # a plain = in YAML 1.1
                self._fault(node, f"{self.quote(node.value)} can't be read", "put text in quotes")
            else:
                self._fault(node, f"a tag, {self.quote(tag)}", "write the value without it")
        return plain

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, object]:
        result: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key, str) or not isinstance(key_node, yaml.ScalarNode):
                self._fault(key_node, "a key that isn't a name")
                continue
            if key_node.tag == f"{_TAG}merge":
                self._fault(key_node, "a merge key, '<<'", "write the fields out")
                continue
            if key in result:
                self._fault(
                    key_node,
                    f"field '{key}': is there twice",
                    f"first at line {self.lines[*location, key]}",
                )
                continue
            self.lines[*location, key] = key_node.start_mark.line + 1
            result[key] = self.value(value_node, (*location, key))
        return result

    def _scalar(self, node: yaml.Node, location: Location) -> object:
        text = str(node.value)
        try:
            value = cast(object, yaml.SafeLoader("").construct_object(node, deep=True))
        except (ValueError, yaml.YAMLError) as error:
            why = _QUOTED.sub(lambda found: self.quote(found[1]), " ".join(str(error).split()))
            if len(text) > _LONGEST_NUMBER:  # Python's error would name a setting of Python
                why = f"it has {len(text)} digits"
            self._fault(node, f"{self.quote(text)} can't be read: {why}", "put text in quotes")
            return None
        if not isinstance(value, str):
            self.sources[location] = text
        return value

    def _fault(self, node: yaml.Node, what: str, hint: str = "") -> None:
        self.faults.add(f"{self.path}:{node.start_mark.line + 1}", what, hint)
