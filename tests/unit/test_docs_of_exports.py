"""What docs/exports.md says is what there is."""

import re
from pathlib import Path

import pytest
import yaml

from sinks.columns import Subject
from sinks.definition import ExportDefinition
from sinks.formats import BooleanFormat, DatePattern, TimePattern
from sinks.render import Compression
from sinks.types import EXPORT_TYPES, columns_on_offer
from tests.unit.drops import SHOP

PAGE = (Path(__file__).parents[2] / "docs" / "exports.md").read_text(encoding="utf-8")


def test_the_pages_example_is_a_valid_definition() -> None:
    example = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None

    ExportDefinition.model_validate(yaml.safe_load(example[1]))


def test_every_field_is_on_the_page() -> None:
    for name, field in ExportDefinition.model_fields.items():
        assert f"`{field.alias or name}" in PAGE, name


@pytest.mark.parametrize("choices", [BooleanFormat, DatePattern, TimePattern, Compression])
def test_every_choice_is_on_the_page(choices: type[BooleanFormat]) -> None:
    for choice in choices:
        assert not choice or f"`{choice}`" in PAGE


def test_every_type_event_and_column_is_on_the_page() -> None:
    subject = Subject(SHOP)
    for declared in EXPORT_TYPES.values():
        assert f"**`{declared.name}`**" in PAGE
        for event, increment in declared.increments.items():
            assert f"`{event}`" in PAGE
            for column in columns_on_offer(declared, increment, subject):
                if column.path[0] != "attributes":
                    assert f"`{column.name}`" in PAGE
