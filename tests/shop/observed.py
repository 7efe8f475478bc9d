"""What a process serves on its port of observation, read by HTTP."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from deploy.parts.ports import HOST

Series = Mapping[str, float]


def page(port: int, path: str) -> tuple[int, str]:
    """Status and body of a page."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def serves(port: int) -> bool:
    """Whether anything listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def health(port: int, name: str) -> tuple[int, dict[str, Any]]:
    """Status and facts of a page of health."""
    status, body = page(port, f"/health/{name}")
    return status, json.loads(body)


def series(text: str) -> Series:
    """The samples of a text of metrics by `name{label="value"}`, without those of the process."""
    return {
        sample.name + _labels(sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("deltadrop_")
    }


def served_series(port: int) -> Series:
    """The samples that are served on a port."""
    status, text = page(port, "/metrics")
    assert status == 200, text
    return series(text)


def _labels(labels: Mapping[str, str]) -> str:
    told = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    return f"{{{told}}}" if told else ""
