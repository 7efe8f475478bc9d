"""The wheel in an environment of its own, with the newest libraries that its bounds let in: no lock
file is there, as where somebody installs it.
"""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.demo.workspace import Workspace, next_second
from deploy.parts import KafkaBroker, SchemaRegistry
from tests.shop.site import own_prefix, site_settings

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "deploy" / "demo"
UV = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The command of a fresh installation."""
    environment = tmp_path / "environment"
    _run(UV, "build", "--quiet", "--wheel", "--out-dir", str(tmp_path / "wheel"), str(ROOT))
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    _run(UV, "venv", "--quiet", "--python", sys.executable, str(environment))
    python = environment / "bin" / "python"
    _run(UV, "pip", "install", "--quiet", "--python", str(python), str(wheel))
    return environment / "bin" / "deltadrop"


def test_a_plain_installation_stores_and_closes(
    program: Path, kafka: KafkaBroker, registry: SchemaRegistry, tmp_path: Path
) -> None:
    settings = site_settings(kafka, registry, own_prefix("wheel"))
    site = Workspace.create(tmp_path / "site", DEMO, settings)
    opened = {
        "kind": "row",
        "eventType": "CREATED",
        "database": "shop",
        "table": "stores",
        "source": "API",
        "occurredAt": datetime.now(UTC).isoformat(),
        "id": 7,
        "attributes": {"storeCode": "S-7", "name": "Gare", "city": "Liège"},
    }
    events = tmp_path / "day.jsonl"
    events.write_text(json.dumps(opened) + "\n", encoding="utf-8")

    def run(*arguments: str) -> str:
        return _run(str(program), *arguments, "--config", str(site.config))

    assert "check-location" in _run(str(program), "--help")
    assert "export.json" in run("json-schema")
    assert run("validate").startswith("all is well: 1 database")
    run("topics", "create")
    assert run("publish", str(events)).strip() == "1 event sent"
    worker = subprocess.Popen([program, "worker", "--config", str(site.config)], cwd=tmp_path)
    try:
        run("close", "stores", "--at", next_second().isoformat())
    finally:
        worker.terminate()
        assert worker.wait(30) == 0

    (drop,) = (site.transferbox / "warehouse").rglob("stores_*.csv")
    _, line = drop.read_text(encoding="utf-8").splitlines()
    assert "S-7,Gare,Liège" in line


def _run(*command: str) -> str:
    # Not in the checkout: there uv would take its constraints, and Python its modules.
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd="/", env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr or done.stdout}"
    return done.stdout
