"""The golden files through the whole product: real Kafka, a worker, and two closes.

All cases go together, each in a database of its own, since starting and closing takes longer than
anything else. `--update-golden` writes `expected.csv` and `manifest.json` anew; look at the
difference before you commit it (the naive model looks too:
tests/unit/rules/test_model_of_golden.py).
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.demo.report import Drop
from deploy.demo.workspace import Workspace, next_second
from deploy.parts import KafkaBroker, SchemaRegistry
from sinks.drops.verify import verify
from tests.golden.cases import Case, cases
from tests.shop.forked import ForkedProcess
from tests.shop.site import own_prefix, site_settings

pytestmark = pytest.mark.timeout(900)
"""Eighty closes, one after the other, before the first test."""
CASES = list(cases())
CLOCK = "told by the clock"
"""Stands in a golden manifest where the day of the run would stand."""


def test_there_are_golden_cases() -> None:
    assert len(CASES) >= 40


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_drop_is_the_golden_one(
    case: Case, drops: Mapping[Case, Drop], pytestconfig: pytest.Config
) -> None:
    drop = drops[case]
    manifest = _timeless(drop.manifest, case)
    if pytestconfig.getoption("--update-golden"):
        shutil.copyfile(drop.file, case.folder / "expected.csv")
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        (case.folder / "manifest.json").write_text(text, encoding="utf-8")
    assert drop.file.read_bytes().decode("utf-8") == case.expected
    assert manifest == case.manifest
    assert verify(drop.file).is_well


@pytest.fixture(scope="module")
def drops(
    kafka: KafkaBroker, registry: SchemaRegistry, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[Case, Drop]:
    """The second drop of each case."""
    folder = tmp_path_factory.mktemp("golden")
    definitions = folder / "definitions"
    for case in CASES:
        _define(case, definitions)
    settings = site_settings(kafka, registry, own_prefix("golden"))
    site = Workspace.create(folder / "site", definitions, settings, ForkedProcess)
    site.run("topics", "create")
    with site.workers(1):
        for part in ("before", "events"):
            file = folder / f"{part}.jsonl"
            lines = (json.dumps(event) + "\n" for case in CASES for event in _told(case, part))
            file.write_text("".join(lines), encoding="utf-8")
            site.run("publish", str(file))
            site.run("close", "--at", next_second().isoformat())
    last = {drop.export: drop for drop in Drop.all_in(site.transferbox)}
    return {case: last[case.definition["export"]] for case in CASES}


def _database(case: Case) -> str:
    return f"{case.definition['database']}_{case}".replace("-", "_").replace("/", "_")


def _define(case: Case, definitions: Path) -> None:
    """Write the case's tables and export, with the database's name replaced."""
    database = _database(case)
    documents = [("exports", database, case.definition)]
    documents += [("tables", f"{database}_{name}", table) for name, table in case.tables.items()]
    for folder, name, document in documents:
        (definitions / folder).mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump({**document, "database": database}, sort_keys=False)
        (definitions / folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def _told(case: Case, part: str) -> Iterable[dict[str, Any]]:
    return ({**event, "database": _database(case)} for event in case.events(part))


def _timeless(manifest: dict[str, Any], case: Case) -> dict[str, Any]:
    """The manifest with what differs from run to run replaced, and the case's own database."""
    file, window = manifest["file"], manifest["window"]
    database = case.definition["database"]
    return {
        **manifest,
        "drop": CLOCK,
        "previous_drop": CLOCK if manifest["previous_drop"] else None,
        "export": {**manifest["export"], "database": database},
        "window": {**window, "begin": CLOCK, "end": CLOCK, "hours": CLOCK, "remark": CLOCK},
        "file": {**file, "name": CLOCK},
        "offsets": [
            {**one, "topic": ".".join([database, *one["topic"].split(".")[2:]]), "topic_id": CLOCK}
            for one in manifest["offsets"]
        ],
    }
