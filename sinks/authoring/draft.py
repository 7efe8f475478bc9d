"""A draft of an export's definition: answers by field, their faults, and the YAML."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from schemas.definitions.definitions import Document, Faults, build
from schemas.errors import DefinitionError, Fault, WrongInputError
from schemas.private_files import make_folders, opened_new
from schemas.tables import Catalog
from sinks.exports.definition import ExportDefinition
from sinks.exports.export import Export, load_exports
from sinks.exports.fitting import fit
from sinks.locations import Terms

__all__ = ["Answer", "Draft", "write_definition"]

Answer: TypeAlias = str | tuple[str, ...]
"""One text, or several; `COLUMN=HEADER` gives a column a header of its own."""

_SOUND: Mapping[str, Any] = {
    "export": "x",
    "entity": "x",
    "schedule": {"at": "06:00", "time_zone": "UTC"},
}
"""Valid values for fields that aren't answered yet, so that the answers can be checked."""


@dataclass(frozen=True, slots=True)
class Draft:
    """Answers so far, by the field of the definition (`schedule.at`).

    taken: the names of the existing exports.
    """

    catalog: Catalog
    locations: Mapping[str, Terms]
    taken: Collection[str] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Return a field's answer of one text; empty without an answer."""
        found = self.answers.get(name, "")
        return found if isinstance(found, str) else ""

    def answered(self, name: str, answer: Answer) -> Draft:
        """Return the draft with one more answer."""
        return replace(self, answers={**self.answers, name: answer})

    def faults(self, name: str) -> list[Fault]:
        """Return the faults of a field's answer, given the other answers."""
        marks = (f"field '{name}'", f"field '{name}[")
        return [fault for fault in self._all_faults() if fault.what.startswith(marks)]

    def is_possible(self, **answers: str) -> bool:
        """Whether a definition with these answers can be completed."""
        draft = replace(self, answers=answers)
        return not any(draft.faults(name) for name in answers)

    def data(self) -> dict[str, Any]:
        """Return the definition's content for its YAML."""
        content: dict[str, Any] = {}
        for name, answer in self.answers.items():
            *around, last = name.split(".")
            place = content
            for part in around:
                place = place.setdefault(part, {})
            place[last] = (
                answer if isinstance(answer, str) else [_item(name, item) for item in answer]
            )
        return content

    def to_yaml(self, first_line: str) -> str:
        """Return the file's text, with fields in the order of their answers."""
        lines = [first_line]
        for name, value in self.data().items():
            if name == "columns":
                lines += ["columns:", *(f"  - {_flow(item)}" for item in value)]
            else:
                lines.append(f"{name}: {_flow(value)}")
        return "\n".join(lines) + "\n"

    def _all_faults(self) -> list[Fault]:
        content = deepcopy(dict(_SOUND))
        for name, value in self.data().items():
            if isinstance(value, dict):
                content.setdefault(name, {}).update(value)
            else:
                content[name] = value
        document = Document(Path("export"), content, {})
        faults = Faults()
        build(document, ExportDefinition, faults)
        fit(document, self.catalog, self.locations, faults)
        if self.text("export").lower() in {name.lower() for name in self.taken}:
            what = f"field 'export': there is an export '{self.text('export')}' already"
            faults.add(document.where(("export",)), what, "choose another name")
        return faults.found


def write_definition(draft: Draft, folder: Path, first_line: str) -> tuple[Path, Export]:
    """Write a draft to a folder of definitions, if it is valid together with the others.

    Raises WrongInputError if its file exists already (it is never overwritten), DefinitionError if
    a definition in the folder is wrong.
    """
    path = folder / f"{draft.text('export')}.yaml"
    if path.exists():
        raise WrongInputError([Fault(str(path), "is there already", "choose another name")])
    text = draft.to_yaml(first_line)
    export = _proven(draft, folder, path.name, text)
    make_folders(folder)
    with opened_new(path) as file:
        file.write(text.encode())
    return path, export


def _proven(draft: Draft, folder: Path, name: str, text: str) -> Export:
    """Read the definition together with the others, in a copy of their folder."""
    with tempfile.TemporaryDirectory() as scratch:
        for path in _definitions(folder):
            (Path(scratch) / path.name).write_bytes(path.read_bytes())
        (Path(scratch) / name).write_text(text, encoding="utf-8")
        try:
            exports = load_exports(Path(scratch), draft.catalog, draft.locations)
        except DefinitionError as error:
            there = [
                replace(
                    fault,
                    where=fault.where.replace(scratch, str(folder)),
                    hint=fault.hint.replace(scratch, str(folder)),
                )
                for fault in error.faults
            ]
            raise DefinitionError(there) from error
    return next(export for export in exports if export.name == draft.text("export"))


def _definitions(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (p for p in folder.iterdir() if p.suffix in {".yaml", ".yml"} and p.is_file())


def _item(name: str, item: str) -> str | dict[str, str]:
    column, equals, header = item.partition("=")
    return {"column": column, "header": header} if name == "columns" and equals else item


def _flow(value: object) -> str:
    """Return a value as one line of YAML."""
    text = yaml.safe_dump(
        [value], default_flow_style=True, width=1_000_000, allow_unicode=True, sort_keys=False
    )
    return text.strip()[1:-1]
