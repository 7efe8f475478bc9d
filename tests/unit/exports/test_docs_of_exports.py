"""What docs/exports.md says is what there is."""

import csv
import re
from pathlib import Path
from typing import Any

import duckdb
import pandas
import polars
import pytest
import yaml

from deploy.reference import __main__ as reference
from sinks.authoring.reference import columns_of
from sinks.exports.definition import ExportDefinition, FileDefinition
from sinks.exports.types import EXPORT_TYPES
from sinks.rendering.compress import Compression
from sinks.rendering.layout import BooleanFormat, DatePattern, TimePattern

PAGE = (Path(__file__).parents[3] / "docs" / "exports.md").read_text(encoding="utf-8")


def test_the_pages_example_is_a_valid_definition() -> None:
    example = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None

    ExportDefinition.model_validate(yaml.safe_load(example[1]))


def test_the_pages_ways_to_read_a_drop_give_its_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file.csv").write_bytes('id,name\n1,""\n2,\n3,"two\nlines, 😀"\n4,NA\n'.encode())
    example = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    limit = csv.field_size_limit()
    told: dict[str, Any] = {"csv": csv, "pandas": pandas, "polars": polars, "duckdb": duckdb}

    exec(example[1], told)
    csv.field_size_limit(limit)

    names = ["", None, "two\nlines, 😀", "NA"]
    flat = [name or "" for name in names]
    assert [row[1] for row in told["by_csv"]] == ["name", *flat]
    assert told["by_pandas"]["name"].tolist() == flat
    assert told["by_polars"]["name"].to_list() == names
    assert told["by_duckdb"].fetchall() == list(enumerate(names, 1))


def test_every_field_is_on_the_page() -> None:
    for name, field in ExportDefinition.model_fields.items():
        assert f"`{field.alias or name}" in PAGE, name
    for name in FileDefinition.model_fields:
        assert f"`file.{name}`" in PAGE, name


@pytest.mark.parametrize("choices", [BooleanFormat, DatePattern, TimePattern, Compression])
def test_every_choice_is_on_the_page(choices: type[BooleanFormat]) -> None:
    for choice in choices:
        assert not choice or f"`{choice}`" in PAGE


def test_the_tables_of_types_events_and_columns_are_those_of_the_declarations() -> None:
    """`make reference` writes them."""
    assert reference.page(PAGE) == PAGE


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("creationMoment", "`occurredAt` of the `CREATED` event"),
        ("profile-updateMoment", "`occurredAt` of the `CREATED` or `UPDATED` event"),
        ("isFirstClick", "true on the interaction's first click on any of its links"),
    ],
)
def test_the_page_tells_how_a_value_is_found_that_no_event_carries(column: str, told: str) -> None:
    (line,) = re.findall(rf"^\| `{column}` \| .*$", PAGE, re.MULTILINE)

    assert told in line


def test_every_type_event_and_column_is_on_the_page() -> None:
    assert EXPORT_TYPES
    for declared in EXPORT_TYPES.values():
        assert re.search(f"^### .*`{declared.name}`", PAGE, re.MULTILINE)
        for event, increment in declared.increments.items():
            assert f"| `{event}` | {increment.meaning}" in PAGE
            for column in columns_of(declared, increment):
                assert f"| `{column.name}` |" in PAGE
