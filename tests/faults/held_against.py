"""Holds what a site exported against what its topics hold, judged by the naive model."""

import gzip
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import yaml

from sinks.instants import stamp
from tests.faults.truth import cut_at
from tests.model.closes import Close, latest_of
from tests.model.definition import export_of
from tests.model.drops import drops_of
from tests.model.history import Cut, History, Recorded
from tests.model.tables import Database, tables_in

SHOP = Path("deploy/demo")


def drops_are_the_truth(
    seed: int,
    folder: Path,
    prefix: str,
    records: list[Recorded],
    instants_of: Callable[[Mapping[str, Any]], Sequence[datetime]],
) -> set[str]:
    """Hold all drops of a site against the naive model, and return the exports that had any line:
    of the others the test says little. instants_of: the closes of an export, by its definition.
    """
    exported: set[str] = set()
    history = History(records)
    for file in sorted((folder / "exports").glob("*.yaml")):
        definition = yaml.safe_load(file.read_text(encoding="utf-8"))
        name, instants = definition["export"], instants_of(definition)
        database = Database.load(folder / "tables" / f"{definition['database']}.yaml")
        tables = tables_in(folder / "tables", database.name)
        cuts = [cut_at(records, instant) for instant in instants]
        ledgers = [folder / "ledger" / "exports" / name / stamp(instant) for instant in instants]
        closes = [
            Close(cut, {database.name: latest_of(d[:2] for d in _deletions(ledger))})
            for cut, ledger in zip(cuts, ledgers, strict=True)
        ]
        export = export_of(definition, database, prefix, tables)
        drops = drops_of(history, export, Cut(0, {}), closes)
        if any(drop.lines for drop in drops):
            exported.add(name)
        for instant, ledger, drop in zip(instants, ledgers, drops, strict=True):
            outcome = _entry(_last(ledger, "r{}.outcome") or ledger / "outcome.json")
            balance = {outcome_: n for outcome_, n in outcome["balance"].items() if n}
            wanted = {outcome_: n for outcome_, n in drop.balance.items() if n}
            got = _text(folder, outcome["file"])
            want = "" if outcome["file"] is None and not drop.lines else drop.text()
            _keep(folder, seed, name, instant, got, want)
            assert got == want, f"seed {seed}: {name} at {instant} differs from the truth"
            assert balance == wanted, f"seed {seed}: {name} at {instant}: the balance differs"
    return exported


def _text(folder: Path, file: str | None) -> str:
    """The CSV of a drop; empty where an empty window's file was skipped."""
    if file is None:
        return ""
    path = next((folder / "transferbox").rglob(file))
    if file.endswith(".zip"):
        with ZipFile(path) as archive:
            return archive.read(archive.namelist()[0]).decode("utf-8")
    content = path.read_bytes()
    return (gzip.decompress(content) if file.endswith(".gz") else content).decode("utf-8")


def _deletions(ledger: Path) -> list[list[int]]:
    """Those that decided the drop that is there now: of its revision, if people were deleted when
    it had partly left; else known when it was gone on with; else when it was decided.
    """
    revision = _last(ledger, "r{}.outcome")
    if revision is not None:
        intent = _entry(revision.with_name(revision.name.replace("outcome", "intent")))["intent"]
    else:
        intent = _entry(_last(ledger, "deletions-{}") or ledger / "intent.json")
    deletions: list[list[int]] = intent["deletions"]
    return deletions


def _last(ledger: Path, entry: str) -> Path | None:
    """The entry with the highest number, if there is any."""
    files = (ledger / f"{entry.format(number)}.json" for number in range(1, 100))
    there = list(takewhile(Path.exists, files))
    return there[-1] if there else None


def _entry(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def _keep(folder: Path, seed: int, name: str, instant: datetime, got: str, wanted: str) -> None:
    """Keep both texts of a failure beside the logs."""
    if got != wanted:
        (folder / f"{name}-{stamp(instant)}-got.csv").write_text(got, encoding="utf-8")
        (folder / f"{name}-{stamp(instant)}-wanted-seed{seed}.csv").write_text(
            wanted, encoding="utf-8"
        )
