"""Every case of the hostile publisher that is told by its bytes alone, without servers: the verdict
and the value that it asks for, alone and among right events, and as a plain reading of Avro's
specification gives them (SPEC §6).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from schemas.decoding.decode import Decoded, Decoder
from schemas.derive import AvroSchema
from schemas.errors import UnknownSchemaError
from schemas.events import Kind
from schemas.topics import Topic, topics_of
from tests.faults.truth import plain
from tests.hostile.cases import CORPUS, DEAD, USABLE, Case, CaseError, Message, load_cases
from tests.hostile.expressions import KEYS
from tests.hostile.naive import naive_event
from tests.hostile.regular import datum_of, regular_event
from tests.hostile.site import catalog, own_schema

README = CORPUS.parent / "README.md"
FEWEST = 80
RIGHT = 1
"""The id of the topic's own schema; that of the case comes next."""

MOST_MESSAGES = 20
"""Of one case that are looked at here: each is like the others."""


class Known:
    """A registry that has the topic's own schema, and the case's."""

    def __init__(self, own: AvroSchema, case: AvroSchema) -> None:
        self._schemas = {RIGHT: own, RIGHT + 1: case}

    def schema(self, schema_id: int) -> AvroSchema:
        if schema_id not in self._schemas:
            raise UnknownSchemaError(f"no schema has the id {schema_id}")
        schema = self._schemas[schema_id]
        return schema if isinstance(schema, dict) else {"type": schema}


def topic_of(case: Case) -> Topic:
    return Topic.parse(f"deltadrop.{case.topic}")


CASES = [
    case
    for case in load_cases()
    if case.is_plain and case.schema_type == "AVRO" and case.verdict in (USABLE, DEAD)
]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def messages_of(case: Case, own: AvroSchema) -> list[tuple[Message, str]]:
    found = case.messages(own, RIGHT + 1)
    return [told for told, _ in zip(found, range(MOST_MESSAGES), strict=False)]


def decoded(case: Case, own: AvroSchema, messages: list[Message]) -> Decoded:
    registry = Known(own, case.whole_schema(own))
    got = Decoder(registry, topic_of(case), catalog()).decode(
        [message.value for message in messages], [message.key for message in messages]
    )
    got.batch.validate(full=True)
    return got


def outcomes(got: Decoded) -> dict[int, Any]:
    """By the index of each value: what came out of it, or why it is refused."""
    found: dict[int, Any] = {one.index: one.reason for one in got.refused}
    rows = got.batch.to_pylist()
    return found | {index: plain(row) for index, row in zip(got.rows.tolist(), rows, strict=True)}


@cache
def right_messages(topic: str) -> tuple[Message, ...]:
    """So many that they are read as columns."""
    own = own_schema(topic)
    datums = [datum_of(own, regular_event(topic, number)) for number in range(40)]
    return tuple(Message(b"1", b"\0" + RIGHT.to_bytes(4, "big") + datum) for datum in datums)


@cache
def right_outcomes(topic: str) -> list[Any]:
    own = own_schema(topic)
    messages = right_messages(topic)
    decoder = Decoder(Known(own, own), Topic.parse(f"deltadrop.{topic}"), catalog())
    got = decoder.decode([one.value for one in messages], [one.key for one in messages])
    return [plain(row) for row in got.batch.to_pylist()]


ALONE: dict[str, tuple[list[tuple[Message, str]], dict[int, Any]]] = {}


def alone(case: Case) -> tuple[list[tuple[Message, str]], dict[int, Any]]:
    """The messages of a case with their reasons, and what becomes of each; once for all tests."""
    if case.name not in ALONE:
        own = own_schema(case.topic)
        told = messages_of(case, own)
        ALONE[case.name] = told, outcomes(decoded(case, own, [one for one, _ in told]))
    return ALONE[case.name]


def field_of(event: Mapping[str, Any], path: str) -> Any:
    value: Any = event
    for name in path.split("."):
        value = None if value is None else value[name]
    return value


@every_case
def test_a_case_has_its_verdict_and_value(case: Case) -> None:
    told, found = alone(case)

    for index, (_, reason) in enumerate(told):
        if case.verdict == DEAD:
            assert found[index] == reason.replace("{schema}", str(RIGHT + 1))
        else:
            assert isinstance(found[index], dict), found[index]
            got = {path: field_of(found[index], path) for path in case.values}
            assert got == dict(case.values)


@every_case
def test_a_case_makes_no_difference_to_right_events_beside_it(case: Case) -> None:
    told, by_itself = alone(case)
    right, count = right_messages(case.topic), len(told)
    messages = [*right[:20], *(message for message, _ in told), *right[20:]]

    together = outcomes(decoded(case, own_schema(case.topic), messages))

    assert [together[20 + n] for n in range(count)] == [by_itself[n] for n in range(count)]
    beside = [together[n] for n in (*range(20), *range(20 + count, 40 + count))]
    assert beside == right_outcomes(case.topic)


@every_case
def test_a_case_is_what_a_plain_reading_of_the_specification_gives(case: Case) -> None:
    """Where it can tell: it knows no bounds."""
    if case.naive is not None:
        assert case.verdict == DEAD, "what no reading can judge must be refused"
        return
    own = own_schema(case.topic)
    schemas = {RIGHT: own, RIGHT + 1: case.whole_schema(own)}
    told, found = alone(case)

    for index, (message, _) in enumerate(told):
        read = naive_event(case.topic, message.key, message.value, schemas.get)
        kind = {"kind": str(topic_of(case).kind)}
        assert read == (kind | found[index] if case.verdict == USABLE else None)


def test_there_are_cases_of_every_kind_of_event_and_every_verdict() -> None:
    cases = load_cases()
    kinds = {topic_of(case).kind for case in cases}

    assert len(cases) >= FEWEST
    assert kinds == set(Kind)
    assert {case.verdict for case in cases} == {"usable", "dead letter", "set aside", "not seen"}
    assert {case.batch.codec for case in cases} == {"none", "gzip", "snappy", "lz4", "zstd"}
    known = {topic.local for topic in topics_of(catalog())}
    assert {case.topic for case in cases} <= known


def test_an_empty_folder_of_cases_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="no cases"):
        load_cases(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"usable": {}, "dead letter": "why"},
        {},
        {"usable": {}, "topik": "shop.profile"},
        {"usable": {}, "rule": ""},
        {"dead letter": {}},
        {"usable": "why"},
        {"usable": {}, "batch": {"codek": "gzip"}},
    ],
)
def test_a_case_that_isnt_written_as_the_page_says_is_refused(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    right = {"what": "An event", "rule": "SPEC §6", "topic": "shop.profile"}
    (tmp_path / "case.json").write_text(json.dumps(right | wrong))

    with pytest.raises(CaseError, match=r"case\.json"):
        load_cases(tmp_path)


def test_the_page_about_cases_tells_every_key_and_every_short_form() -> None:
    page = README.read_text(encoding="utf-8")
    keys = {key for file in CORPUS.glob("*.json") for key in json.loads(file.read_text("utf-8"))}

    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []
    assert [key for key in KEYS if f'"{key}"' not in page] == []
