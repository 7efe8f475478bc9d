"""Where the hostile publisher's cases belong: the demo's shop and a library."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.demo.workspace import Workspace
from deploy.parts import KafkaBroker, SchemaRegistry
from schemas.derive import AvroSchema, avro_schema
from schemas.tables import Catalog, load_catalog
from schemas.topics import Topic, topics_of
from tests.faults.demo_site import demo_site

__all__ = [
    "LIBRARY",
    "SHOP",
    "TABLES",
    "all_topics",
    "catalog",
    "declared",
    "hostile_site",
    "own_schema",
]

SHOP: Final = Path("deploy/demo")
LIBRARY: Final = Path(__file__).parent
TABLES: Final = (SHOP / "tables", LIBRARY / "tables")


@cache
def catalog() -> Catalog:
    """All databases and tables."""
    shop, library = map(load_catalog, TABLES)
    return Catalog({**shop.databases, **library.databases}, {**shop.tables, **library.tables})


@cache
def own_schema(local: str) -> AvroSchema:
    """The schema that a topic's events are read by; local: its name without the prefix."""
    return avro_schema(Topic.parse(f"deltadrop.{local}"), catalog())


@cache
def declared(database: str) -> dict[str, Any]:
    """The definition of a database, as its file has it; nothing where it has none."""
    for folder in TABLES:
        file = folder / f"{database}.yaml"
        if file.exists():
            loaded: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
            return loaded
    return {}


def all_topics(prefix: str) -> list[str]:
    """The names of all topics of events."""
    return [topic.name for topic in topics_of(catalog(), prefix)]


def hostile_site(
    folder: Path, kafka: KafkaBroker, registry: SchemaRegistry, prefix: str
) -> Workspace:
    """The demo's shop and the library, with topics of three partitions."""
    workspace = demo_site(folder, kafka, registry, prefix)
    for kind in ("tables", "exports"):
        for file in (LIBRARY / kind).glob("*.yaml"):
            shutil.copy(file, workspace.folder / kind)
            if kind == "exports":
                copy = workspace.folder / kind / file.name
                copy.write_text(copy.read_text().replace('yyyyMMdd"', 'yyyyMMdd-HHmmss"'))
    workspace.run("topics", "create")
    return workspace
