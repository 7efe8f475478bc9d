"""What docs/publishing.md says is what there is."""

import re
from enum import StrEnum
from pathlib import Path

import pytest

from producers.jsonl import LineReader
from schemas.events import (
    HEADER_FIELDS,
    KINDS,
    CampaignKind,
    CampaignState,
    Channel,
    Engine,
    Kind,
    Source,
)
from schemas.settings.settings import KafkaSecurity, KafkaSettings
from tests.shop.events import CATALOG

PAGE = (Path(__file__).parents[3] / "docs" / "publishing.md").read_text(encoding="utf-8")
WORDS = set(re.findall(r"\w+(?:-\w+)*", PAGE))


def test_the_json_lines_shown_are_right() -> None:
    shown = PAGE.split("```json")[1].split("```")[0].strip().splitlines()
    (checked,) = LineReader("page", CATALOG, "deltadrop").chunks(line.encode() for line in shown)
    events, faults = checked.events, checked.faults
    assert (len(events), faults) == (2, ())


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_is_told_with_its_event_types_and_fields(kind: Kind) -> None:
    told = {str(kind), *KINDS[kind].event_types, KINDS[kind].key_field}
    for payload in KINDS[kind].payloads.values():
        told |= set(payload.fields)
    assert told <= WORDS


def test_every_header_field_and_source_is_told() -> None:
    assert {*HEADER_FIELDS, *Source} <= WORDS


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("channel", Channel),
        ("campaignKind", CampaignKind),
        ("state", CampaignState),
        ("engine", Engine),
    ],
)
def test_every_value_of_a_campaign_is_told_beside_its_key(key: str, values: type[StrEnum]) -> None:
    (line,) = re.findall(rf"^  \| `{key}` \| (.*) \|$", PAGE, re.MULTILINE)

    assert set(values) <= set(re.findall(r"\w+", line))


def test_every_kafka_setting_is_told() -> None:
    assert set(KafkaSettings.model_fields) | set(KafkaSecurity.model_fields) <= WORDS
