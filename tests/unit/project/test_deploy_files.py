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
from schemas.settings.settings import Settings, load_settings
from streams.worker import WorkerOptions

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
UNITS = sorted(file for file in (DEPLOY / "systemd").iterdir())
CLAIM, CLAIM_OF_A_POD = "PersistentVolumeClaim", "persistentVolumeClaim"
LIVE, READY = "/health/live", "/health/ready"
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

    assert {one["args"][0] for one in found} == {"close", "schedule", "worker"}
    assert {one["args"][0] for one in found} <= set(COMMANDS)


def test_all_that_a_container_mounts_is_a_volume_of_its_pod() -> None:
    found = [pod for _, document in manifests() for pod in pods(document)]
    assert found
    for pod in found:
        volumes = {volume["name"] for volume in pod["volumes"]}
        mounts = {mount["name"] for one in pod["containers"] for mount in one["volumeMounts"]}
        assert mounts == volumes


def test_closes_of_a_cron_job_do_not_overlap_and_the_scheduler_may_finish_one() -> None:
    by_name = {document["metadata"]["name"]: document["spec"] for _, document in manifests()}

    assert by_name["deltadrop-close"]["concurrencyPolicy"] == "Forbid"
    schedule = by_name["deltadrop-schedule"]
    assert schedule["template"]["spec"]["terminationGracePeriodSeconds"] >= 600
    assert schedule["replicas"] == 2


def test_a_workers_pod_has_time_to_write_what_it_has_gathered() -> None:
    by_name = {document["metadata"]["name"]: document["spec"] for _, document in manifests()}
    patience = WorkerOptions.__dataclass_fields__["retry_seconds"].default

    pod = by_name["deltadrop-worker"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > patience


def test_a_deployment_selects_its_own_pods_and_no_others() -> None:
    selected = []
    for _, document in manifests():
        if document["kind"] == "Deployment":
            labels = document["spec"]["selector"]["matchLabels"]
            assert document["spec"]["template"]["metadata"]["labels"] == labels
            selected.append(tuple(sorted(labels.items())))
    assert len(selected) == len(set(selected)) == 2


def test_a_deployments_probes_ask_for_the_health_pages_on_the_port_that_is_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ports = {"worker": "worker_port", "schedule": "schedule_port"}
    probed = []
    for name, document in manifests():
        if document["kind"] != "Deployment":
            continue
        (one,) = containers(document)
        observe = settings_of(one, tmp_path, monkeypatch).observe
        command = one["args"][0]
        assert observe.host == "0.0.0.0", name
        assert one["ports"] == [
            {"name": "metrics", "containerPort": getattr(observe, ports[command])}
        ]
        for probe, page in (("livenessProbe", LIVE), ("readinessProbe", READY)):
            assert one[probe]["httpGet"] == {"path": page, "port": "metrics"}
        probed.append(command)
    assert sorted(probed) == sorted(ports)


def test_what_a_container_sets_are_settings_and_its_folders_are_mounted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for _, document in manifests():
        for one in containers(document):
            settings = settings_of(one, tmp_path, monkeypatch)
            writable = {m["mountPath"] for m in one["volumeMounts"] if not m.get("readOnly")}
            read_only = {m["mountPath"] for m in one["volumeMounts"] if m.get("readOnly")}
            assert writable == {str(settings.root), "/tmp"}
            assert {str(settings.tables), str(settings.exports)} < read_only


def test_no_pod_has_more_rights_than_it_needs() -> None:
    found = [pod for _, document in manifests() for pod in pods(document)]
    assert found
    for pod in found:
        own = pod["securityContext"]
        assert own["runAsNonRoot"] is True
        assert own["runAsUser"] == own["runAsGroup"] == own["fsGroup"] > 0
        assert own["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for one in pod["containers"]:
            assert one["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_secrets_come_from_secrets_and_none_is_written_down() -> None:
    for name, document in manifests():
        assert document["kind"] != "Secret", name
        for pod in pods(document):
            keys = [volume for volume in pod["volumes"] if "secret" in volume]
            assert [one["secret"]["secretName"] for one in keys] == ["deltadrop-keys"]
            for one in pod["containers"]:
                assert [source["secretRef"]["name"] for source in one["envFrom"]] == ["deltadrop"]
                told = {variable["name"] for variable in one["env"]}
                assert not [each for each in told if "PASSWORD" in each or "SECRET" in each]


def test_all_pods_share_one_root_that_many_can_write() -> None:
    claims = [document for _, document in manifests() if document["kind"] == CLAIM]
    (claim,) = claims
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for _, document in manifests():
        for pod in pods(document):
            roots = [v[CLAIM_OF_A_POD] for v in pod["volumes"] if CLAIM_OF_A_POD in v]
            assert roots == [{"claimName": claim["metadata"]["name"]}]


def settings_of(
    container: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """The settings that a container has where the settings' file says nothing."""
    file = folder / "deltadrop.yaml"
    file.write_text("{}\n")
    with monkeypatch.context() as environment:
        for variable in container["env"]:
            environment.setenv(variable["name"], variable["value"])
        return load_settings(file)
