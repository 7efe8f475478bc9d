"""A worker's metrics and health, as they are served while it works on a real Kafka."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kafka import KafkaProducer

from deploy.demo.workspace import Workspace
from deploy.parts import KafkaBroker, SchemaRegistry
from deploy.parts.ports import free_port
from tests.shop.forked import ForkedProcess
from tests.shop.observed import health, page, served_series, serves
from tests.shop.site import own_prefix, site_settings

PROFILES = 5


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.timeout(240)
def test_a_worker_tells_rows_dead_letters_and_lag(
    kafka: KafkaBroker, registry: SchemaRegistry, tmp_path: Path
) -> None:
    prefix, port = own_prefix("observed"), free_port()
    settings = site_settings(kafka, registry, prefix, partitions=2)
    settings["observe"] = {"worker_port": port}
    site = Workspace.create(tmp_path / "site", Path("deploy/demo"), settings, ForkedProcess)
    site.run("topics", "create")
    site.run("publish", str(_profiles(tmp_path)))
    topic = f"{prefix}.shop.profile"
    with KafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        producer.send(topic, key=b"1", value=b"not an event", partition=1).get(timeout=30)
    rows = f'deltadrop_worker_rows_total{{topic="{topic}"}}'

    with site.workers(1):
        until(lambda: serves(port))
        until(lambda: served_series(port)[rows] == PROFILES)
        until(lambda: _lags(port, topic) == [0, 0])
        told, ready, live = served_series(port), health(port, "ready"), health(port, "live")
        _, text = page(port, "/metrics")

    assert told[f'deltadrop_worker_dead_letters_total{{topic="{topic}"}}'] == 1
    assert told[f'deltadrop_worker_write_failures_total{{topic="{topic}"}}'] == 0
    assert told[f'deltadrop_worker_last_write_timestamp_seconds{{topic="{topic}"}}'] > 0
    assert ready[0] == live[0] == 200
    assert ready[1]["partitions"] == told["deltadrop_worker_assigned_partitions"] > 2
    assert "process_resident_memory_bytes" in text


def _lags(port: int, topic: str) -> list[float]:
    return [
        value
        for name, value in sorted(served_series(port).items())
        if name.startswith("deltadrop_worker_lag_offsets") and f'topic="{topic}"' in name
    ]


def _profiles(folder: Path) -> Path:
    file = folder / "profiles.jsonl"
    lines = [
        {
            "kind": "profile",
            "eventType": "CREATED",
            "database": "shop",
            "source": "API",
            "occurredAt": "2026-03-28T12:00:00Z",
            "profileId": number,
            "attributes": {"customerId": f"C{number}"},
        }
        for number in range(PROFILES)
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file
