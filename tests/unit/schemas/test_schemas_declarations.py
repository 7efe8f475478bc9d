"""The declarations agree with each other, and with the files that others read."""

import json
from pathlib import Path

import fastavro
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from schemas.derive import arrow_schema, avro_schema, record_name
from schemas.events import HEADER_FIELDS, KINDS, SOURCE_GROUPS, Kind, Source, SourceGroup
from schemas.statuses import STATUS_RULES
from schemas.topics import Topic, topics_of
from tests.shop.events import CATALOG

TOPICS = topics_of(CATALOG)
FIXED = sorted((Path(schemas.__file__).parent / "avro").glob("*.avsc"))


def test_there_is_a_topic_for_every_kind() -> None:
    assert {topic.kind for topic in TOPICS} == set(Kind)


@pytest.mark.parametrize("topic", TOPICS, ids=str)
def test_the_schema_is_valid_and_begins_with_the_header(topic: Topic) -> None:
    schema = avro_schema(topic, CATALOG)
    fastavro.parse_schema(schema)
    assert tuple(field["name"] for field in schema["fields"])[:5] == HEADER_FIELDS
    assert arrow_schema(topic, CATALOG).names == [field["name"] for field in schema["fields"]]


@pytest.mark.parametrize("topic", TOPICS, ids=str)
def test_payloads_and_schema_name_the_same_fields(topic: Topic) -> None:
    fields = {field["name"] for field in avro_schema(topic, CATALOG)["fields"]}
    declared = {name for one in KINDS[topic.kind].payloads.values() for name in one.fields}
    optional = {"profileId", "businessKey"} if topic.kind is Kind.ROW else set()
    assert declared - optional <= fields - set(HEADER_FIELDS) <= declared


@pytest.mark.parametrize("topic", TOPICS, ids=str)
def test_enums_are_those_of_the_declarations(topic: Topic) -> None:
    types = {field["name"]: field["type"] for field in avro_schema(topic, CATALOG)["fields"]}
    assert types["eventType"]["symbols"] == [str(t) for t in KINDS[topic.kind].event_types]
    assert types["source"]["symbols"] == [str(source) for source in Source]


@pytest.mark.parametrize("topic", TOPICS, ids=str)
def test_the_key_field_is_a_long(topic: Topic) -> None:
    key = KINDS[topic.kind].key_field
    assert arrow_schema(topic, CATALOG).field(key).type == pa.int64()


def test_every_fixed_schema_belongs_to_a_kind() -> None:
    assert FIXED
    assert {path.stem for path in FIXED} == set(Kind) - {Kind.PROFILE, Kind.ROW}


def test_record_names_tell_topics_of_databases_apart() -> None:
    names = {record_name(avro_schema(topic, CATALOG)) for topic in TOPICS}
    assert len(names) == len(TOPICS)
    assert {"deltadrop.shop.Profile", "deltadrop.shop.row.stores", "deltadrop.Campaign"} <= names


def test_a_repository_has_no_profile_and_a_technical_key_no_business_key() -> None:
    stores = arrow_schema(Topic(Kind.ROW, "shop", "stores"), CATALOG).names
    cards = arrow_schema(Topic(Kind.ROW, "shop", "loyaltyCards"), CATALOG).names
    assert "profileId" not in stores
    assert "businessKey" in stores
    assert "businessKey" not in cards


def test_closed_lists_belong_to_fields_of_their_event_type() -> None:
    for rule in STATUS_RULES:
        fields = KINDS[rule.kind].payloads[rule.event_type].fields
        assert {rule.category_field, rule.status_field} <= set(fields)


def test_the_two_groups_name_every_source_once() -> None:
    internal, external = SOURCE_GROUPS[SourceGroup.INTERNAL], SOURCE_GROUPS[SourceGroup.EXTERNAL]
    assert internal | external == set(Source)
    assert not internal & external
    assert external == {Source.API, Source.ETL}


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
PREFIXES = st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True)


@given(st.sampled_from(Kind), NAMES, NAMES, PREFIXES)
def test_a_topic_reads_its_own_name_back(
    kind: Kind, database: str, table: str, prefix: str
) -> None:
    if kind is Kind.CAMPAIGN:
        topic = Topic(kind, prefix=prefix)
    else:
        topic = Topic(kind, database, table if kind is Kind.ROW else None, prefix)
    assert Topic.parse(topic.name, prefix) == topic


@pytest.mark.parametrize(
    "name",
    [
        "other.campaign",
        "deltadrop",
        "deltadrop.",
        "deltadrop.shop",
        "deltadrop.shop.row",
        "deltadrop.shop.row.",
        "deltadrop.shop.row.a.b",
        "deltadrop..profile",
        "deltadrop.dead-letter",
    ],
)
def test_other_names_are_no_topics_of_events(name: str) -> None:
    with pytest.raises(ValueError, match="isn't a topic"):
        Topic.parse(name)


def test_avsc_files_are_json_with_one_field_a_line() -> None:
    for path in FIXED:
        text = path.read_text(encoding="utf-8")
        fields = json.loads(text)["fields"]
        assert sum(line.startswith('    {"name"') for line in text.splitlines()) == len(fields)
