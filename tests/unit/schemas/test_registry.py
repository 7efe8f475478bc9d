"""A registry is asked over few connections; what it has is that schema's verdict (SPEC §6)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import pytest
from fastavro import parse_schema

from schemas.decoding.decode import Decoder
from schemas.derive import avro_schema
from schemas.errors import RegistryError, UnknownSchemaError, UnusableSchemaError
from schemas.events import Kind
from schemas.registry.registry import Registry, wire_header
from tests.shop.events import CATALOG, topic, written


class _Served(ThreadingHTTPServer):
    """A registry as a table: what each path answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.answers: dict[str, Any] = {}
        self.status = 200
        self.asked: list[str] = []
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def has(self, schema_id: int, schema: Any, *references: str, **more: Any) -> None:
        self.answers[f"/schemas/ids/{schema_id}"] = answer(schema, *references, **more)

    def has_subject(self, subject: str, schema: Any, *references: str, **more: Any) -> None:
        self.answers[f"/subjects/{subject}/versions/1"] = answer(schema, *references, **more)


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Served

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_GET(self) -> None:
        path = unquote(self.path)
        self.server.asked.append(path)
        status, told = self.server.status, self.server.answers.get(path)
        if status == 200 and told is None:
            code = 40403 if path.startswith("/schemas") else 40401
            status, told = 404, {"error_code": code, "message": "not found"}
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def answer(schema: Any, *references: str, **more: Any) -> dict[str, Any]:
    text = schema if isinstance(schema, str) else json.dumps(schema)
    named = [{"name": one, "subject": one, "version": 1} for one in references]
    return {"schema": text, "references": named, **more}


@pytest.fixture
def served() -> Iterator[_Served]:
    server = _Served()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def record(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": field, "type": kind} for field, kind in fields.items()],
    }


def test_hundreds_of_unknown_ids_are_asked_for_once_over_few_connections(served: _Served) -> None:
    own = topic(Kind.PROFILE)
    good = written(Kind.PROFILE, "CREATED")
    served.has(1, avro_schema(own, CATALOG))
    ids = range(1_000, 1_600)
    values = [good, *(wire_header(one) + good[5:] for one in ids)]
    decoder = Decoder(Registry(served.url), own, CATALOG)

    for _ in range(2):
        decoded = decoder.decode(values, [b"33"] * len(values))
        assert decoded.rows.tolist() == [0]
        reasons = {one.reason for one in decoded.refused}
        assert reasons == {f"unknown schema id {one}" for one in ids}

    assert sorted(served.asked) == sorted(f"/schemas/ids/{one}" for one in (1, *ids))
    assert served.connections <= 8


def test_a_registry_that_fails_decides_nothing_and_what_it_told_before_stays(
    served: _Served,
) -> None:
    known = Registry(served.url)
    served.has(1, record("R"))
    known.look_up([1, 2])
    served.status = 500

    with pytest.raises(RegistryError, match="answers with 500") as failed:
        known.look_up([1, 2, 3, 4])
    assert not isinstance(failed.value, UnknownSchemaError | UnusableSchemaError)
    assert known.schema(1)["name"] == "R"
    with pytest.raises(UnknownSchemaError):
        known.schema(2)

    served.status = 200
    served.has(3, record("S"))
    assert known.schema(3)["name"] == "S"


def test_what_is_remembered_of_unknown_ids_is_bounded(
    served: _Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("schemas.registry.registry._MOST_REFUSED", 10)
    monkeypatch.setattr("schemas.registry.registry._MOST_SCHEMAS", 2)
    known = Registry(served.url)
    for one in (1, 2, 3):
        served.has(one, record("R"))
    known.look_up(range(1, 100))

    assert (len(known._refused), len(known._schemas)) == (10, 2)


MONEY = {**record("Money", amount="long", unit="Unit"), "namespace": "shop.types"}
UNIT = {"type": "enum", "name": "Unit", "namespace": "shop.types", "symbols": ["EUR"]}


def test_a_schema_with_references_is_one_that_stands_alone(served: _Served) -> None:
    served.has_subject("unit/of money", UNIT)
    served.has_subject("money", MONEY, "unit/of money")
    main = {
        **record("Order", total="shop.types.Money", paid=["null", "shop.types.Money"], by="Person"),
        "namespace": "shop",
    }
    person = {
        **record("Person", friend=["null", "Person"], unit="shop.types.Unit"),
        "namespace": "shop",
    }
    served.has_subject("person", person, "unit/of money")
    served.has(7, main, "money", "person")

    schema = Registry(served.url).schema(7)

    parse_schema(schema)  # which defines all that it names, each once
    total, paid, by = (field["type"] for field in schema["fields"])
    assert (total["name"], total["fields"][1]["type"]["symbols"]) == ("Money", ["EUR"])
    assert paid == ["null", "shop.types.Money"]
    assert by["fields"][0]["type"] == ["null", "shop.Person"]
    assert by["fields"][1]["type"] == "shop.types.Unit"
    assert len(served.asked) == 4, "what two refer to is asked for once"


def test_a_reference_may_be_a_union_or_lie_within_another_type(served: _Served) -> None:
    served.has_subject("both", [record("A", x="int"), {"type": "array", "items": record("B")}])
    served.has(7, record("R", a="A", b={"type": "map", "values": ["null", "B"]}), "both")

    fields = Registry(served.url).schema(7)["fields"]

    assert fields[0]["type"]["name"] == "A"
    assert fields[1]["type"]["values"][1]["name"] == "B"


def deep(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (answer("syntax = 3", schemaType="PROTOBUF"), "schema 7 is PROTOBUF, not Avro"),
        (answer({"type": "object"}, schemaType="JSON"), "schema 7 is JSON, not Avro"),
        (answer("{nonsense"), "schema 7 isn't JSON"),
        (answer("1" * 5_000), "schema 7 isn't JSON"),
        (answer(deep(20_000)), "schema 7 is nested too deeply"),
        (answer(" " * 2_000_000), "schema 7 has more than 1,048,576 bytes"),
        (answer(" " * 50_000_000), "schema 7 has more than 4,194,304 bytes"),
        (answer(record("R", a="A"), "nobody"), "the registry has no subject nobody, version 1"),
        (
            answer(record("R", a="A"), "proto"),
            "schema 7 refers to subject proto, version 1: it is PROTOBUF, not Avro",
        ),
        (answer(record("R", a="A"), "round"), "schema 7 has references that go round in a circle"),
        (answer(record("R"), *map(str, range(101))), "schema 7 has more than 100 references"),
        (answer(record("R"), "deep0"), "schema 7 has references within each other, more than 16"),
        (answer(record("R"), "deep-text"), "schema 7 is nested too deeply"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cant_be_used_of_a_schema_is_its_messages_refusal(
    served: _Served, told: dict[str, Any], reason: str
) -> None:
    served.answers["/schemas/ids/7"] = told
    served.has_subject("proto", "syntax = 3", schemaType="PROTOBUF")
    served.has_subject("round", record("A"), "trip")
    served.has_subject("trip", record("B"), "round")
    served.has_subject("deep-text", deep(20_000))
    for one in range(101):
        served.has_subject(str(one), record(f"R{one}"))
    for one in range(20):
        served.has_subject(f"deep{one}", record(f"D{one}"), f"deep{one + 1}")
    own = topic(Kind.PROFILE)
    served.has(1, avro_schema(own, CATALOG))
    good = written(Kind.PROFILE, "CREATED")
    values = [wire_header(7) + good[5:], good]
    known = Registry(served.url)

    decoded = Decoder(known, own, CATALOG).decode(values, [b"33"] * 2)

    assert [(one.index, one.reason) for one in decoded.refused] == [(0, reason)]
    assert decoded.rows.tolist() == [1]
    asked = len(served.asked)
    with pytest.raises(UnusableSchemaError):
        known.schema(7)
    assert len(served.asked) == asked, "it isn't asked for again at once"


def test_an_answer_that_is_none_decides_nothing(served: _Served) -> None:
    for told in ("text", {"schema": 7}, [1], {"schema": "{}", "references": [{"name": "x"}]}):
        served.answers["/schemas/ids/7"] = told
        with pytest.raises(RegistryError, match="can't be understood") as failed:
            Registry(served.url).schema(7)
        assert not isinstance(failed.value, UnknownSchemaError | UnusableSchemaError)
