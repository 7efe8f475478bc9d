"""Loader of YAML files as pydantic models; every fault is reported with its line.

All faults of all files are collected and raised together, each as `path:line: field 'x': what is
wrong; what would be right`. This module reads table, stream and export definitions and the
settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.definitions.documents import Document, Faults, read_document
from schemas.definitions.explaining import (
    AtError,
    Location,
    Quote,
    choices,
    explain,
    in_quotes,
    location_of,
    shown,
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
    """A definition with the document from which it was read."""

    model: M
    document: Document

    def where(self, *location: str | int) -> str:
        """`path:line` of a value in the definition; location: its YAML keys and list positions."""
        return self.document.where(location)


def load_yaml_models(folder: Path, model: type[M], key: str) -> tuple[Loaded[M], ...]:
    """Read every YAML file of `folder` as a `model`; the value of `key` is its name.

    Raises DefinitionError with all faults of all files.
    """
    faults = Faults()
    loaded = read_models(folder, {key: model}, faults)
    faults.raise_if_any()
    return cast(tuple[Loaded[M], ...], loaded)


def read_models(
    folder: Path, models: Mapping[str, type[BaseModel]], faults: Faults
) -> tuple[Loaded[BaseModel], ...]:
    """Read every `*.yaml` and `*.yml` file of `folder`, in name order; add faults to `faults`.

    Files whose names begin with a dot are ignored, as editors make them (`.#stores.yaml`). Files
    with faults are left out of the result.

    models: the model for each key that a file may begin with (`{"export": ExportDefinition}`): a
    file with `export: x` at its root defines the export x.
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
    """Whether a file is to be read. A file that looks like a definition, but isn't read, is a
    fault.
    """
    if path.suffix in _SUFFIXES:
        return True
    if path.suffix.lower() in _SUFFIXES:
        faults.add(str(path), f"isn't read: its name ends in {path.suffix}", "let it end in .yaml")
    elif path.is_dir() and any(file.suffix.lower() in _SUFFIXES for file in path.iterdir()):
        faults.add(
            str(path), "isn't looked into", "move the definitions that it holds up one level"
        )
    return False


def build(
    document: Document,
    model: type[M],
    faults: Faults,
    within: Location = (),
    quote_of: Callable[[ErrorDetails], Quote] = lambda _: shown,
) -> M | None:
    """Validate a document as a `model`; if it isn't valid, add every fault and return None.

    within: the path to the document, where it is a part of a larger file. quote_of: how a refusal
    quotes the wrong value.
    """
    details = _details(model, document.data)
    if details is None:
        return model.model_validate(document.data)
    texts = _right_as_texts(document, model, details)
    for detail in details:
        if detail["type"] == "too_short" and _is_around(detail, details):
            continue  # pydantic counts only the valid items, so the list may be long enough
        location = location_of(detail)
        source = document.sources.get(location)
        quote = quote_of(detail)
        what, hint = explain(detail, model, source, within, quote)
        if source and location in texts:
            what, hint = in_quotes(detail, source, within, quote)
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
    """Places whose values would be valid as text, but YAML reads as another type: `no` in a list of
    names.
    """
    wrong = {location_of(detail) for detail in details} & document.sources.keys()
    if not wrong:
        return frozenset()
    left = _details(model, _with_texts(document.data, document.sources, wrong, ())) or []
    still = [location_of(detail) for detail in left]
    return frozenset(at for at in wrong if not any(place[: len(at)] == at for place in still))


def _with_texts(
    value: object, sources: Mapping[Location, str], at: Set[Location], here: Location
) -> object:
    """A copy of a value, in which the file's text replaces the values at some places."""
    if here in at:
        return sources[here]
    if isinstance(value, Mapping):
        return {key: _with_texts(item, sources, at, (*here, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_texts(item, sources, at, (*here, n)) for n, item in enumerate(value)]
    return value


def _is_around(detail: ErrorDetails, others: Sequence[ErrorDetails]) -> bool:
    """Whether another error is about a value inside the value that this error is about."""
    around = detail["loc"]
    return any(other["loc"] != around == other["loc"][: len(around)] for other in others)
