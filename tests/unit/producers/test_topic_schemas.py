"""The schemas for publishers in other languages: of each topic, as files, in the registry."""

import json
from pathlib import Path

import fastavro
import pytest

from producers.topic_schemas import topic_schemas, write_schemas
from schemas.errors import WrongInputError
from schemas.settings.settings import Settings
from schemas.topics import topics_of
from tests.shop.events import CATALOG, TABLES

SETTINGS = Settings(tables=TABLES)


def test_each_topic_has_its_schema_its_subject_and_the_field_of_its_keys() -> None:
    found = topic_schemas(SETTINGS).schemas

    assert [schema.topic for schema in found] == [topic.name for topic in topics_of(CATALOG)]
    by_topic = {schema.topic: schema for schema in found}
    rows = by_topic["deltadrop.shop.row.purchases"]
    assert (rows.subject, rows.record, rows.key_field) == (
        "deltadrop.shop.row.purchases-value",
        "deltadrop.shop.row.purchases",
        "id",
    )
    assert by_topic["deltadrop.shop.email-activity"].key_field == "interactionId"


def test_a_topic_that_isn_t_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(WrongInputError, match=r"no topic 'x\.profiles'.*shop\.profile"):
        topic_schemas(SETTINGS, ["x.profiles"])


def test_an_avsc_file_is_named_after_its_topic_and_other_libraries_read_it(tmp_path: Path) -> None:
    found = topic_schemas(SETTINGS, ["deltadrop.shop.profile", "deltadrop.campaign"])

    written = write_schemas(found, tmp_path / "schemas")

    assert written.files == (
        str(tmp_path / "schemas" / "deltadrop.shop.profile.avsc"),
        str(tmp_path / "schemas" / "deltadrop.campaign.avsc"),
    )
    for file, schema in zip(written.files, found.schemas, strict=True):
        text = Path(file).read_text(encoding="utf-8")
        assert json.loads(text) == schema.schema
        assert fastavro.parse_schema(json.loads(text))["name"] == schema.record
