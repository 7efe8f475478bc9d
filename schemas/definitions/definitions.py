"""YAML files into pydantic models, with the line of every fault.

All faults of all files are collected and raised together, each as `path:line: field 'x': what; what
would be right`. Table, stream and export definitions and the settings are read through this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.definitions.documents import Document, Faults, read_document
from schemas.definitions.explaining import (
    AtError,
    Location,
    choices,
    explain,
    in_quotes,
    location_of,
)

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
M = TypeVar("M", bound=BaseModel)


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
    elif path.is_dir() and any(file.suffix.lower() in _SUFFIXES for file in path.iterdir()):
        faults.add(
            str(path), "isn't looked into", "move the definitions that it holds up one level"
        )
    return False


def build(document: Document, model: type[M], faults: Faults, within: Location = ()) -> M | None:
    """Validate a document as a `model`; None, and every reason in `faults`, if it isn't one.

    within: the way to it in the file it's a part of.
    """
    details = _details(model, document.data)
    if details is None:
        return model.model_validate(document.data)
    texts = _right_as_texts(document, model, details)
    for detail in details:
        if detail["type"] == "too_short" and _is_around(detail, details):
            continue  # it counts only the items that are right
        location = location_of(detail)
        source = document.sources.get(location)
        what, hint = explain(detail, model, source, within=within)
        if source and location in texts:
            what, hint = in_quotes(detail, source, within)
        faults.add(document.where(location), what, hint)
    return None


def _details(model: type[BaseModel], data: object) -> list[ErrorDetails] | None:
    try:
        model.model_validate(data)
    except ValidationError as error:
        return error.errors(include_url=False)
    return None


def _right_as_texts(
    document: Document, model: type[BaseModel], details: Sequence[ErrorDetails]
) -> frozenset[Location]:
    """Where YAML made something else of what would be right as text: `no` in a list of names."""
    wrong = {location_of(detail) for detail in details} & document.sources.keys()
    if not wrong:
        return frozenset()
    left = _details(model, _with_texts(document.data, document.sources, wrong, ())) or []
    still = [location_of(detail) for detail in left]
    return frozenset(at for at in wrong if not any(place[: len(at)] == at for place in still))


def _with_texts(
    value: object, sources: Mapping[Location, str], at: Set[Location], here: Location
) -> object:
    """A value in which what stands at some places is the text that is written there."""
    if here in at:
        return sources[here]
    if isinstance(value, Mapping):
        return {key: _with_texts(item, sources, at, (*here, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_texts(item, sources, at, (*here, n)) for n, item in enumerate(value)]
    return value


def _is_around(detail: ErrorDetails, others: Sequence[ErrorDetails]) -> bool:
    """Whether something within what an error is about is wrong, too."""
    around = detail["loc"]
    return any(other["loc"] != around == other["loc"][: len(around)] for other in others)
