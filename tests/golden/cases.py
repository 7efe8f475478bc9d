"""The golden cases: a folder each, with events, an export and the drop that should come out.

`before.jsonl` (optional) is published and closed first, `events.jsonl` after it; `expected.csv` is
the second drop. `story.md` tells of each line of `events.jsonl` what became of it. Topics have one
partition, so that the order of lines is the order of events. Each case has a database of its own,
made as its definition's is in `tables`, with the table that it exports, if it is of one.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
TABLES = HERE / "tables"
OUTCOME = re.compile(r"^\| (\d+) \| ([^|]+) \|")
NO_INPUT = "–"


@dataclass(frozen=True)
class Case:
    """One golden folder."""

    folder: Path

    def __str__(self) -> str:
        return str(self.folder.relative_to(HERE))

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of a JSON Lines file; none if the case has no such file."""
        file = self.folder / f"{name}.jsonl"
        if not file.exists():
            return []
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]

    @property
    def definition(self) -> dict[str, Any]:
        return _yaml(self.folder / "export.yaml")

    @property
    def tables(self) -> dict[str, dict[str, Any]]:
        """The definitions of its database and of the table that it exports, by their names."""
        definition = self.definition
        names = [definition["database"], definition.get("table")]
        return {name: _yaml(TABLES / f"{name}.yaml") for name in names if name is not None}

    @property
    def expected(self) -> str:
        return (self.folder / "expected.csv").read_bytes().decode("utf-8")

    @property
    def manifest(self) -> dict[str, Any]:
        """The golden manifest, without what the clock tells."""
        text = (self.folder / "manifest.json").read_text(encoding="utf-8")
        return dict(json.loads(text))

    @property
    def story(self) -> dict[int, str]:
        """Line number of `events.jsonl` → outcome; lines that are no input of the export are left
        out.
        """
        lines = (self.folder / "story.md").read_text(encoding="utf-8").splitlines()
        told = (OUTCOME.match(line) for line in lines)
        return {int(match[1]): match[2] for match in told if match and match[2] != NO_INPUT}


def _yaml(file: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(file.read_text(encoding="utf-8")))


def cases() -> Iterator[Case]:
    """All golden cases, by name."""
    for file in sorted(HERE.glob("*/*/export.yaml")):
        yield Case(file.parent)
