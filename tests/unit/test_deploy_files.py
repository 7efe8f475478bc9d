"""What is under deploy/ for cron, systemd and Kubernetes starts commands that there are."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deltadrop import COMMANDS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted(file for file in (DEPLOY / "systemd").iterdir())
INSTALLED = "/usr/local/bin/deltadrop"


def manifests() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            yield file.name, document


def containers(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield from node.get("containers", [])
        for inner in node.values():
            yield from containers(inner)


def pods(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "containers" in node:
            yield node
        for inner in node.values():
            yield from pods(inner)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd isn't here")
def test_systemd_finds_no_fault_in_the_units(tmp_path: Path) -> None:
    here = Path(sys.executable).with_name("deltadrop")
    for unit in UNITS:
        text = unit.read_text().replace(INSTALLED, str(here)).replace("User=deltadrop", "User=root")
        (tmp_path / unit.name).write_text(text)

    files = [str(tmp_path / unit.name) for unit in UNITS]
    told = subprocess.run(
        ["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False
    )

    own = [line for line in told.stderr.splitlines() if "deltadrop" in line]
    assert (told.returncode, own) == (0, [])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_a_command_or_a_service_that_there_is(unit: Path) -> None:
    if unit.suffix == ".timer":
        assert unit.with_suffix(".service") in UNITS
        return
    starts = [line for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]
    assert [line.split()[1] in COMMANDS for line in starts] == [True]


def test_each_cron_line_starts_a_command_that_there_is() -> None:
    lines = (DEPLOY / "cron" / "deltadrop").read_text().splitlines()
    jobs = [line.split() for line in lines if line and line[0] in "*0123456789"]

    assert len(jobs) == 2
    for job in jobs:
        assert job[5] == "deltadrop"  # the user: a file of /etc/cron.d has one
        assert job[job.index(INSTALLED) + 1] in COMMANDS


def test_each_container_starts_a_command_that_there_is() -> None:
    found = [one for _, document in manifests() for one in containers(document)]

    assert {one["args"][0] for one in found} == {"close", "schedule"}
    assert {one["args"][0] for one in found} <= set(COMMANDS)


def test_all_that_a_container_mounts_is_a_volume_of_its_pod() -> None:
    found = [pod for _, document in manifests() for pod in pods(document)]
    assert found
    for pod in found:
        volumes = {volume["name"] for volume in pod["volumes"]}
        mounts = {mount["name"] for one in pod["containers"] for mount in one["volumeMounts"]}
        assert mounts == volumes


def test_closes_of_a_cron_job_do_not_overlap_and_the_scheduler_may_finish_one() -> None:
    by_kind = {document["kind"]: document["spec"] for _, document in manifests()}

    assert by_kind["CronJob"]["concurrencyPolicy"] == "Forbid"
    pod = by_kind["Deployment"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= 600
    assert by_kind["Deployment"]["replicas"] == 2
