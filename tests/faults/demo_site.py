"""The demo shop as a site of its own, with small batches and short time-outs, to be tormented."""

from pathlib import Path
from typing import Any

import yaml

from deploy.demo.workspace import Workspace
from deploy.parts import KafkaBroker, SchemaRegistry
from tests.faults.held_against import SHOP
from tests.shop.forked import ForkedProcess
from tests.shop.site import site_settings

SESSION_SECONDS = 6.0


def demo_site(
    folder: Path, kafka: KafkaBroker, registry: SchemaRegistry, prefix: str, **sections: Any
) -> Workspace:
    """sections: more of the settings."""
    settings = site_settings(
        kafka,
        registry,
        prefix,
        partitions=3,
        batch_bytes=200_000,
        batch_seconds=0.7,
        session_timeout_seconds=SESSION_SECONDS,
    )
    workspace = Workspace.create(folder / "site", SHOP, settings | sections, ForkedProcess)
    workspace.add_seconds_to_drop_names()
    return workspace


def topics_of(prefix: str) -> list[str]:
    kinds = [
        "profile",
        "subscription-update",
        "segment-transition",
        "marketing-consent",
        "email-activity",
        "sms-activity",
        "file-activity",
    ]
    tables = [
        yaml.safe_load(file.read_text())["table"]
        for file in (SHOP / "tables").glob("*.yaml")
        if file.stem != "shop"
    ]
    return [
        f"{prefix}.campaign",
        *(f"{prefix}.shop.{kind}" for kind in kinds),
        *(f"{prefix}.shop.row.{table}" for table in tables),
    ]
