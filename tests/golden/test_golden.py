"""The golden files through the whole product: real Kafka, a worker, and two closes.

`--update-golden` writes `expected.csv` and `manifest.json` anew; look at the difference before you
commit it (`tests/unit/test_model_of_golden.py` holds `expected.csv` against the naive model).
"""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deploy.demo.report import Drop
from deploy.demo.workspace import Workspace, command, next_second
from deploy.parts import KafkaBroker, SchemaRegistry
from tests.golden.cases import TABLES, Case, cases

CASES = list(cases())
CLOCK = "told by the clock"
"""Stands in a golden manifest where the day of the run would stand."""


def test_there_are_golden_cases() -> None:
    assert len(CASES) >= 9


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_drop_is_the_golden_one(
    case: Case, site: Workspace, pytestconfig: pytest.Config
) -> None:
    with site.workers(1):
        _publish_and_close(site, case.folder / "before.jsonl")
        _publish_and_close(site, case.folder / "events.jsonl")

    drop = Drop.all_in(site.transferbox)[-1]
    manifest = _timeless(drop.manifest)
    if pytestconfig.getoption("--update-golden"):
        shutil.copyfile(drop.file, case.folder / "expected.csv")
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        (case.folder / "manifest.json").write_text(text, encoding="utf-8")
    assert drop.file.read_bytes().decode("utf-8") == case.expected
    assert manifest == case.manifest
    command("verify", str(drop.file))


@pytest.fixture
def site(case: Case, kafka: KafkaBroker, registry: SchemaRegistry, tmp_path: Path) -> Workspace:
    """An installation of its own: topics of one partition, and the one export."""
    definitions = tmp_path / "definitions"
    shutil.copytree(TABLES, definitions / "tables")
    (definitions / "exports").mkdir()
    shutil.copy(case.folder / "export.yaml", definitions / "exports")
    prefix = f"golden-{datetime.now(UTC):%H%M%S%f}"
    settings = {
        "kafka": {
            "bootstrap_servers": kafka.bootstrap_servers,
            "topic_prefix": prefix,
            "partitions": 1,
            "replication_factor": 1,
            "min_insync_replicas": 1,
        },
        "registry": {"url": registry.url},
        "worker": {"group": prefix, "batch_seconds": 0.5},
        "close": {"delay_seconds": 0.5, "wait_seconds": 60},
    }
    workspace = Workspace.create(tmp_path / "site", definitions, settings)
    workspace.run("topics", "create")
    return workspace


def _publish_and_close(site: Workspace, file: Path) -> None:
    site.run("publish", str(file))
    site.run("close", "--at", next_second().isoformat())


def _timeless(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest with what differs from run to run replaced."""
    file, window = manifest["file"], manifest["window"]
    return {
        **manifest,
        "drop": CLOCK,
        "previous_drop": CLOCK if manifest["previous_drop"] else None,
        "window": {**window, "begin": CLOCK, "end": CLOCK, "hours": CLOCK, "remark": CLOCK},
        "file": {**file, "name": CLOCK},
        "offsets": [
            {**offsets, "topic": offsets["topic"].partition(".")[2], "topic_id": CLOCK}
            for offsets in manifest["offsets"]
        ],
    }
