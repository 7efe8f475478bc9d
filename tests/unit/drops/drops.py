"""Small factories for exports and drops, with only the telling fields to write."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa

from schemas.tables import AttributeDefinition, DatabaseDefinition
from sinks.drops.manifest import (
    MANIFEST_ENDING,
    Balance,
    Manifest,
    OffsetsEntry,
    Window,
    columns_of,
    dialect_of,
    export_of,
    file_of,
)
from sinks.exports.definition import ExportDefinition, FileDefinition, ScheduleDefinition
from sinks.exports.export import Export
from sinks.exports.types import EXPORT_TYPES, columns_on_offer
from sinks.rendering.compress import Compression
from sinks.rendering.render import render
from sinks.rules.columns import HeadedColumn, Subject

SHOP = DatabaseDefinition(
    database="shop",
    attributes=(
        AttributeDefinition(name="customerId", type="string"),
        AttributeDefinition(name="balance", type="decimal", precision=18, scale=2),
    ),
    business_key="customerId",
)
CLOSE = datetime(2026, 3, 29, 4, tzinfo=UTC)
BEFORE = datetime(2026, 3, 28, 5, tzinfo=UTC)


def export(
    *columns: str, event: str = "OPENED", of: str = "email-activities", **file: str
) -> Export:
    declared = EXPORT_TYPES[of]
    offered = columns_on_offer(declared, declared.increments[event], Subject(SHOP))
    chosen = [one for one in offered if one.name in columns] if columns else offered
    definition = ExportDefinition(
        export="openings",
        entity="marketing",
        database="shop",
        type=of,
        event=event,
        file=FileDefinition.model_validate(file),
        schedule=ScheduleDefinition(at="06:00", time_zone="Europe/Brussels"),
    )
    return Export(definition, Subject(SHOP), tuple(HeadedColumn(c, c.header) for c in chosen))


def balance(exported: int, **more: int) -> Balance:
    outcomes = {"dead letter": 0, "duplicate": 0, **more, "exported": exported}
    return Balance(input=sum(outcomes.values()), outcomes=outcomes)


def write_drop(
    folder: Path, export: Export, rows: pa.Table, late_rows: Mapping[date, int] | None = None
) -> tuple[Path, Manifest]:
    """Write a drop and its manifest, as a close would."""
    name = export.file_name(CLOSE)
    path = folder / str(name)
    with path.open("wb") as out:
        rendered = render([rows], export.layout, out, inner_name=export.inner_name(CLOSE))
    manifest = Manifest(
        drop="openings@20260329T040000.000Z",
        previous_drop="openings@20260328T050000.000Z",
        export=export_of(export),
        window=Window.of(BEFORE, CLOSE, export.zone_name),
        file=file_of(str(name), 0, rendered, Compression(export.definition.file.compression)),
        dialect=dialect_of(export),
        columns=columns_of(export),
        offsets=(
            OffsetsEntry(
                topic="deltadrop.shop.email-activity",
                topic_id="0e2a5c1e-9df5-4b41-8f3a-6cf1b1e1b001",
                partition=0,
                first=100,
                next=140,
            ),
        ),
        balance=balance(exported=rendered.rows),
        late_rows=late_rows or {},
        warnings=rendered.warnings,
    )
    (folder / f"{name}{MANIFEST_ENDING}").write_bytes(manifest.to_json())
    return path, manifest
