"""The demo's report after the closes: drops, lines, balance."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from deploy.demo.workspace import Workspace

MANIFEST = ".manifest.json"
SHOWN = "emails-clicks"
LINES = 10
WIDTH = 150


@dataclass(frozen=True, slots=True)
class Drop:
    """One drop in the transferbox, with its manifest."""

    file: Path
    manifest: dict[str, Any]

    @classmethod
    def all_in(cls, folder: Path) -> "list[Drop]":
        """All drops of a transferbox that have a file, by window, then by export."""
        found = [
            cls(manifest.with_name(manifest.name.removesuffix(MANIFEST)), _read(manifest))
            for manifest in folder.rglob(f"*{MANIFEST}")
        ]
        found = [drop for drop in found if drop.manifest["file"] is not None]
        return sorted(found, key=lambda drop: (drop.window_end, drop.export))

    @property
    def export(self) -> str:
        """The export's name."""
        return str(self.manifest["export"]["name"])

    @property
    def window_end(self) -> str:
        """The close's instant in local time, as in the manifest."""
        return str(self.manifest["window"]["end"]["local"])

    @property
    def closed_at(self) -> datetime:
        """The close's instant."""
        return datetime.fromisoformat(self.manifest["window"]["end"]["utc"])

    def lines(self, count: int) -> list[str]:
        """The first lines of the file, unpacked."""
        opened = gzip.open if self.file.suffix == ".gz" else open
        with opened(self.file, "rt", encoding="utf-8", newline="") as text:
            return [line.rstrip("\n") for line in islice(text, count)]


def show(workspace: Workspace, drops: Sequence[Drop]) -> None:
    """Print all drops, ten lines of one, and its balance."""
    print("\nThe drops, each with a manifest beside it; `deltadrop verify` says all is well:\n")
    print(f"  {'export':22}{'window until':32}{'rows':>9}{'bytes':>12}  file")
    for drop in drops:
        file = drop.manifest["file"]
        print(
            f"  {drop.export:22}{drop.window_end:32}{file['rows']:>9,}{file['bytes']:>12,}"
            f"  {drop.file.relative_to(workspace.folder)}"
        )
    shown = next(drop for drop in drops if drop.export == SHOWN)
    print(f"\n{LINES} lines of {shown.file.name}:\n")
    for line in shown.lines(LINES + 1):
        print(f"  {line if len(line) <= WIDTH else line[: WIDTH - 1] + '…'}")
    balance = shown.manifest["balance"]
    print(f"\nIts balance: {balance['input']:,} records of its input, and what became of them:\n")
    for outcome, records in balance["outcomes"].items():
        print(f"  {outcome:28}{records:>9,}")


def what_next(workspace: Workspace, drops: Sequence[Drop]) -> None:
    """Print commands to try next."""
    shown = next(drop for drop in drops if drop.export == SHOWN)
    config = f"--config {workspace.config}"
    print(
        f"""
What to try next (Kafka is stopped, the files are still there):

  uv run deltadrop verify {shown.file}
  uv run deltadrop history {shown.export} {config}
  uv run deltadrop validate {config}
  less {shown.file}{MANIFEST}
  less {workspace.folder}/logs/worker-1.log

`uv run python -m deploy.parts` starts a Kafka that stays; docs/operating.md goes on from there.
"""
    )


def _read(manifest: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
    return loaded
