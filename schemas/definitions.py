"""YAML files into pydantic models, with the line of every fault.

All faults of all files are collected and raised together, each as `path:line: field 'x': what; what
would be right`. Table, stream and export definitions and the settings are read through this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Generic, TypeVar, cast

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.errors import DefinitionError, Fault
from schemas.explaining import AtError, Location, choices, explain, location_of, shown

__all__ = [
    "AtError",
    "Document",
    "Faults",
    "Loaded",
    "Location",
    "build",
    "choices",
    "explain",
    "load_yaml_models",
    "location_of",
    "read_document",
    "read_models",
]

_SUFFIXES: Final = frozenset({".yaml", ".yml"})
_LONGEST_NUMBER: Final = 1000
"""Characters of a number: no setting has one of as many digits."""

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


class Faults:
    """Collects faults, so that a refusal lists them all."""

    def __init__(self) -> None:
        self.found: list[Fault] = []

    def add(self, where: str, what: str, hint: str = "") -> None:
        """Note one fault."""
        self.found.append(Fault(where, what, hint))

    def told_by(self, read: Callable[[], T]) -> T | None:
        """Return what is read; None, with its faults noted, where it is refused."""
        try:
            return read()
        except DefinitionError as error:
            self.found.extend(error.faults)
            return None

    def raise_if_any(self) -> None:
        """Raise DefinitionError with everything found, if anything was."""
        if self.found:
            raise DefinitionError(self.found)


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file: its plain values, the line (from 1) of each, and how it's written there."""

    path: Path
    data: Mapping[str, object]
    lines: Mapping[Location, int]
    sources: Mapping[Location, str] = field(default_factory=dict)
    """How values that aren't text are written: `no` for False, nothing for what is empty."""

    def where(self, location: Location = ()) -> str:
        """`path:line` of a value, or of the nearest one around it that is there."""
        while location and location not in self.lines:
            location = location[:-1]
        return f"{self.path}:{self.lines.get(location, 1)}"


@dataclass(frozen=True, slots=True)
class Loaded(Generic[M]):
    """A definition with the document it was read from."""

    model: M
    document: Document

    def where(self, *location: str | int) -> str:
        """`path:line` of a value of the definition, by its YAML keys."""
        return self.document.where(location)


def load_yaml_models(folder: Path, model: type[M], key: str) -> tuple[Loaded[M], ...]:
    """Read every YAML file of `folder` as a `model` named by its `key`; raises DefinitionError with
    all faults.
    """
    faults = Faults()
    loaded = read_models(folder, {key: model}, faults)
    faults.raise_if_any()
    return cast(tuple[Loaded[M], ...], loaded)


def read_models(
    folder: Path, models: Mapping[str, type[BaseModel]], faults: Faults
) -> tuple[Loaded[BaseModel], ...]:
    """Read every `*.yaml` and `*.yml` of `folder`, in name order, and note what is wrong in
    `faults`. Names that begin with a dot are editors' own (`.#stores.yaml`) and left alone.

    models: what a file defines, by the key that names it (`{"export": ExportDefinition}`): a file
    with `export: x` at its root defines an export called x. Files that are wrong are left out of
    the result.
    """
    loaded = []
    for path in _yaml_files(folder, faults):
        document = read_document(path, faults)
        if document is None:
            continue
        key = next((key for key in models if key in document.data), None)
        if key is None:
            wanted = " or ".join(f"`{key}: <name>`" for key in models)
            faults.add(
                document.where(),
                "the file doesn't say what it defines",
                f"it begins with {wanted}",
            )
            continue
        model = build(document, models[key], faults)
        if model is not None:
            loaded.append(Loaded(model, document))
    return tuple(loaded)


def _yaml_files(folder: Path, faults: Faults) -> Sequence[Path]:
    if not folder.is_dir():
        found = "is a file, not a folder" if folder.exists() else "doesn't exist"
        faults.add(
            str(folder),
            f"the folder of definitions {found}",
            "it holds one YAML file for each definition",
        )
        return ()
    try:
        named = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        return [path for path in named if _is_definition(path, faults)]
    except OSError as error:
        faults.add(str(folder), f"can't be read: {error.strerror}")
        return ()


def _is_definition(path: Path, faults: Faults) -> bool:
    """Whether a file is to be read; one that somebody may think is read is a fault."""
    if path.suffix in _SUFFIXES:
        return True
    if path.suffix.lower() in _SUFFIXES:
        faults.add(str(path), f"isn't read: its name ends in {path.suffix}", "let it end in .yaml")
    elif path.is_dir() and any(one.suffix.lower() in _SUFFIXES for one in path.iterdir()):
        faults.add(
            str(path), "isn't looked into", "move the definitions that it holds up one level"
        )
    return False


def read_document(path: Path, faults: Faults) -> Document | None:
    """Read one YAML file; None, and why in `faults`, if it isn't a mapping with names for keys."""
    if path.is_dir():
        faults.add(
            str(path),
            "is a folder, not a file",
            "rename it, or move what it holds up one level",
        )
        return None
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except OSError as error:
        faults.add(str(path), f"can't be read: {error.strerror}")
    except UnicodeDecodeError as error:
        faults.add(str(path), f"isn't UTF-8 (byte {error.start})", "save it as UTF-8")
    except yaml.MarkedYAMLError as error:
        faults.found.append(_syntax_fault(path, text, error))
    except yaml.YAMLError as error:
        faults.add(str(path), f"isn't YAML: {' '.join(str(error).split())}")
    else:
        return _document(path, nodes, faults)
    return None


def _syntax_fault(path: Path, text: str, error: yaml.MarkedYAMLError) -> Fault:
    mark = error.problem_mark
    where = f"{path}:{mark.line + 1 if mark else 1}"
    if mark and error.problem and "'\\t'" in error.problem:
        if text.split("\n")[mark.line][: mark.column].strip():
            return Fault(where, "a tab within the line", "write a space in its place")
        return Fault(where, "a tab in the indentation", "YAML is indented with spaces")
    return Fault(where, f"isn't YAML: {error.problem or error.context}")


def _document(path: Path, nodes: Sequence[yaml.Node | None], faults: Faults) -> Document | None:
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
    plain = _Plain(path, faults)
    before = len(faults.found)
    data = plain.value(present[0], ())
    if not isinstance(data, dict):
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
    """Turns YAML nodes into plain values and remembers where each was."""

    path: Path
    faults: Faults
    lines: dict[Location, int] = field(default_factory=dict)
    sources: dict[Location, str] = field(default_factory=dict)
    within: list[yaml.Node] = field(default_factory=list)

    def value(self, node: yaml.Node, location: Location) -> object:
        self.lines.setdefault(location, node.start_mark.line + 1)
        if any(node is outer for outer in self.within):
            self._fault(node, "an alias to a value that holds it", "write the value out")
            return None
        self.within.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, location)
            if isinstance(node, yaml.SequenceNode):
                return [
                    self.value(item, (*location, index)) for index, item in enumerate(node.value)
                ]
            return self._scalar(node, location)
        finally:
            self.within.pop()

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, object]:
        result: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key, str) or not isinstance(key_node, yaml.ScalarNode):
                self._fault(key_node, "a key that isn't a name")
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
            why = " ".join(str(error).split())
            if len(text) > _LONGEST_NUMBER:  # Python speaks of a setting of its own
                why = f"it has {len(text)} digits"
            self._fault(node, f"{shown(text)} can't be read: {why}", "put text in quotes")
            return None
        if not isinstance(value, str):
            self.sources[location] = text
        return value

    def _fault(self, node: yaml.Node, what: str, hint: str = "") -> None:
        self.faults.add(f"{self.path}:{node.start_mark.line + 1}", what, hint)


def build(document: Document, model: type[M], faults: Faults, within: Location = ()) -> M | None:
    """Validate a document as a `model`; None, and every reason in `faults`, if it isn't one.

    within: the way to it in the file it's a part of.
    """
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        for detail in details:
            if detail["type"] == "too_short" and _is_around(detail, details):
                continue  # it counts only the items that are right
            location = location_of(detail)
            source = document.sources.get(location)
            what, hint = explain(detail, model, source, within=within)
            faults.add(document.where(location), what, hint)
        return None


def _is_around(detail: ErrorDetails, others: Sequence[ErrorDetails]) -> bool:
    """Whether something within what an error is about is wrong, too."""
    around = detail["loc"]
    return any(one["loc"] != around == one["loc"][: len(around)] for one in others)
