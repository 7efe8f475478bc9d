"""What docs/tables.md and docs/start.md say is what there is."""

import re
from pathlib import Path

import yaml

from producers.jsonl import LineReader
from schemas.settings.settings import Settings, load_settings
from schemas.tables import (
    AttributeDefinition,
    AttributeType,
    Catalog,
    DatabaseDefinition,
    SegmentationKind,
    TableDefinition,
    TableKind,
    load_catalog,
)

DOCS = Path(__file__).parents[3] / "docs"
TABLES = (DOCS / "tables.md").read_text(encoding="utf-8")
START = (DOCS / "start.md").read_text(encoding="utf-8")
OPERATING = (DOCS / "operating.md").read_text(encoding="utf-8")


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def _catalog(folder: Path, blocks: list[str]) -> Catalog:
    for number, text in enumerate(blocks):
        (folder / f"{number}.yaml").write_text(text, encoding="utf-8")
    return load_catalog(folder)


def test_the_pages_tables_are_right(tmp_path: Path) -> None:
    catalog = _catalog(tmp_path, _blocks(TABLES, "yaml"))

    assert list(catalog.tables) == [("library", "loans")]


def test_every_field_kind_and_type_is_told() -> None:
    models = (DatabaseDefinition, TableDefinition, AttributeDefinition)
    fields = {field.alias or name for m in models for name, field in m.model_fields.items()}
    for word in {*fields, *TableKind, *AttributeType, *SegmentationKind}:
        assert re.search(rf"`[^`]*\b{word}\b[^`]*`", TABLES), word


def test_the_starts_settings_tables_and_events_are_right(tmp_path: Path) -> None:
    settings, *tables = _blocks(START, "yaml")
    (tmp_path / "settings.yaml").write_text(settings, encoding="utf-8")
    (tmp_path / "tables").mkdir()

    read = load_settings(tmp_path / "settings.yaml")
    catalog = _catalog(tmp_path / "tables", tables)
    lines = "".join(_blocks(START, "json")).splitlines()
    (checked,) = LineReader("page", catalog, "deltadrop").chunks(line.encode() for line in lines)
    events, faults = checked.events, checked.faults

    assert read.kafka.replication_factor == 1
    assert (len(events), faults) == (4, ())


def test_the_settings_shown_are_settings(tmp_path: Path) -> None:
    shown = yaml.safe_load(_blocks(OPERATING, "yaml")[0])

    assert set(shown) | {"locations"} == set(Settings.model_fields)  # they have a page of their own
    assert set(shown["close"]) == set(Settings.model_fields["close"].default.model_dump())
