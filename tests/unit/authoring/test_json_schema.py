"""What the JSON Schemas accept and refuse, held against deltadrop's own validation."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from typer.testing import CliRunner

from deltadrop import app
from schemas.definitions.definitions import Document, Faults, build
from schemas.errors import DefinitionError
from schemas.tables import Catalog, DatabaseDefinition, TableDefinition
from schemas.topics import topics_of
from sinks.authoring.json_schema import JsonSchema, json_schemas, written
from sinks.exports.export import LOCATIONS, load_exports
from sinks.exports.types import EXPORT_TYPES
from streams.definition import StreamDefinition, user_streams
from tests.shop.events import CATALOG, TABLES

ROOT = Path(__file__).parents[3]
COMMITTED = ROOT / "schemas" / "json"
DEFINITIONS = [
    path
    for folder in ("deploy/demo", "examples/*")
    for kind in ("tables", "exports", "streams.d")
    for path in sorted(ROOT.glob(f"{folder}/{kind}/*.y*ml"))
]
ANY, SHOP = json_schemas(), json_schemas(CATALOG, LOCATIONS)
Edit = Callable[[dict[str, Any]], object]


def complaints(schema: JsonSchema, content: object) -> list[str]:
    return [error.message for error in Draft7Validator(schema).iter_errors(content)]


def put(*path: str | int, value: object) -> Edit:
    def edit(content: dict[str, Any]) -> None:
        *around, last = path
        place: Any = content
        for part in around:
            place = place[part]
        place[last] = value

    return edit


def without(key: str) -> Edit:
    return lambda content: content.pop(key)


@pytest.mark.parametrize("kind", ANY)
def test_the_committed_schemas_are_up_to_date(kind: str) -> None:
    """`make reference` writes them."""
    assert (COMMITTED / f"{kind}.json").read_text(encoding="utf-8") == written(ANY[kind])


@pytest.mark.parametrize("schemas", [ANY, SHOP], ids=["any database", "the shop"])
@pytest.mark.parametrize("kind", ANY)
def test_each_is_a_schema_by_its_own_standard(kind: str, schemas: dict[str, JsonSchema]) -> None:
    Draft7Validator.check_schema(schemas[kind])


def test_there_are_definitions_to_look_at() -> None:
    assert {path.parent.name for path in DEFINITIONS} >= {"tables", "exports"}


@pytest.mark.parametrize(
    "path", DEFINITIONS, ids=lambda path: f"{path.parent.parent.name}-{path.stem}"
)
def test_a_definitions_first_line_names_a_schema_that_accepts_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert named is not None, "the first line names no schema"
    file = (path.parent / named[1]).resolve()
    assert file.parent == COMMITTED

    assert complaints(json.loads(file.read_text(encoding="utf-8")), yaml.safe_load(text)) == []


EXPORT = {
    "export": "openings",
    "entity": "marketing",
    "database": "shop",
    "type": "email-activities",
    "event": "OPENED",
    "columns": ["interactionId", {"column": "customerId", "header": "CRM"}, "eventTime"],
    "formats": {
        "boolean": "1/0",
        "date": "yyyyMMdd",
        "moment": "ISO 8601",
        "values_separator": "/",
    },
    "file": {"separator": "tab", "compression": "gzip", "name": "<name><suffix>"},
    "schedule": {"at": "06:00", "time_zone": "Europe/Brussels"},
    "deliver": ["transferbox"],
    "when_empty": "skip",
    "recipients": ["a@shop.example"],
}
WRONG_EXPORTS: dict[str, Edit] = {
    "no entity": without("entity"),
    "no schedule": without("schedule"),
    "an unknown key": put("colums", value=[]),
    "an unknown type": put("type", value="email-activity"),
    "another type's event": put("event", value="CREATION"),
    "an unknown event": put("event", value="OPEN"),
    "a table where the type has none": put("table", value="purchases"),
    "sources where there is no filter": put("sources", value=["API"]),
    "no columns at all": put("columns", value=[]),
    "a column that can't be": put("columns", 0, value="segment-vip"),
    "a headed column that can't be": put("columns", 1, "column", value="clicked-url"),
    "a column of no name": put("columns", 0, value={"header": "CRM"}),
    "an empty header": put("columns", 1, "header", value=""),
    "an unknown format of booleans": put("formats", "boolean", value="yes/no"),
    "an unknown format of dates": put("formats", "date", value="yyyy"),
    "an unknown format of moments": put("formats", "moment", value="yyyy-MM-dd HH"),
    "a long separator of values": put("formats", "values_separator", value="||"),
    "an unknown separator": put("file", "separator", value=";"),
    "an inner name without an archive": put("file", "inner_name", value="<name><suffix>"),
    "an unknown compression": put("file", "compression", value="rar"),
    "an hour without minutes": put("schedule", "at", value="6"),
    "an hour that isn't text": put("schedule", "at", value=360),
    "an unknown time zone": put("schedule", "time_zone", value="Europe/Brussel"),
    "a name that is no folder's": put("export", value="a/b"),
    "a place twice": put("deliver", value=["transferbox", "transferbox"]),
    "an unknown way for empty windows": put("when_empty", value="nothing"),
    "a guard rail below nothing": put("guard_rails", value={"rows_at_least": -1}),
    "an unknown guard rail": put("guard_rails", value={"rows": 1}),
    "a recipient without a domain": put("recipients", value=["marketing"]),
}


def of_export(folder: Path, content: object) -> object:
    (folder / "a.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_exports(folder, CATALOG)


@pytest.mark.parametrize("schemas", [ANY, SHOP], ids=["any database", "the shop"])
@pytest.mark.parametrize("wrong", WRONG_EXPORTS)
def test_a_wrong_export_is_refused_by_both(
    tmp_path: Path, wrong: str, schemas: dict[str, JsonSchema]
) -> None:
    content = deepcopy(EXPORT)
    of_export(tmp_path, content)
    assert complaints(schemas["export"], content) == []

    WRONG_EXPORTS[wrong](content)

    assert complaints(schemas["export"], content)
    with pytest.raises(DefinitionError):
        of_export(tmp_path, content)


@pytest.mark.parametrize(
    "edit",
    [
        put("database", value="shap"),
        put("columns", 0, value="interactionID"),
        put("columns", 1, "column", value="customerID"),
    ],
)
def test_only_the_schema_of_an_installation_knows_its_databases_and_columns(
    tmp_path: Path, edit: Edit
) -> None:
    content = deepcopy(EXPORT)
    edit(content)

    assert complaints(ANY["export"], content) == []
    assert complaints(SHOP["export"], content)
    with pytest.raises(DefinitionError):
        of_export(tmp_path, content)


BARE = DatabaseDefinition(database="bare", attributes=({"name": "city", "type": "string"},))


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "profile-changes", "event": "MARKETING_CONSENT_CHANGE"},
        {"type": "email-activities", "event": "SENT", "columns": ["businessKey"]},
        {"type": "interaction", "event": "UPDATE", "table": "purchases"},
    ],
    ids=["no marketing consent", "no business key", "no table of that kind"],
)
def test_the_schema_of_an_installation_refuses_what_a_database_lacks(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    bare = Catalog({"bare": BARE}, {})
    content = {**EXPORT, "database": "bare", **wrong}
    if "columns" not in wrong:
        del content["columns"]

    assert complaints(ANY["export"], content) == []
    assert complaints(json_schemas(bare)["export"], content)
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(DefinitionError):
        load_exports(tmp_path, bare)


def every_export() -> Iterator[tuple[str, str]]:
    for one in EXPORT_TYPES.values():
        yield from ((one.name, event) for event in one.increments)


@pytest.mark.parametrize(("type_", "event"), list(every_export()))
def test_every_type_and_event_that_deltadrop_accepts_the_schemas_accept(
    tmp_path: Path, type_: str, event: str
) -> None:
    one = EXPORT_TYPES[type_]
    content = {**EXPORT, "type": type_, "event": event}
    del content["columns"]
    if one.table is not None:
        content["table"] = next(t.name for t in CATALOG.tables.values() if t.kind is one.table)
    if one.increments[event].source_filter:
        content["sources"] = ["INTERNAL", "API"]
    (export,) = of_export(tmp_path, content)  # type: ignore[misc]
    columns = [{"column": headed.column.name, "header": headed.header} for headed in export.columns]

    for schema in (ANY["export"], SHOP["export"]):
        assert complaints(schema, {**content, "columns": columns}) == []


DATABASE = {
    "database": "shop",
    "attributes": [
        {"name": "customerId", "type": "string", "personal": True},
        {"name": "balance", "type": "decimal", "precision": 9, "scale": 2},
        {"name": "lastOpening", "type": "moment", "recency": True},
    ],
    "business_key": "customerId",
    "subscriptions": ["newsletter"],
    "segmentations": [
        {"name": "vip", "kind": "simple"},
        {"name": "lifecycle", "kind": "exclusive", "segments": ["new", "lost"]},
    ],
    "marketing_consent": True,
}
TABLE = {
    "table": "purchases",
    "kind": "interaction",
    "database": "shop",
    "attributes": [{"name": "amount", "type": "integer"}],
    "business_key": "id",
}
WRONG_TABLES: dict[str, tuple[dict[str, Any], Edit]] = {
    "no attributes": (DATABASE, put("attributes", value=[])),
    "an unknown type of attribute": (DATABASE, put("attributes", 0, "type", value="text")),
    "an attribute's name with a dash": (
        DATABASE,
        put("attributes", 0, "name", value="customer-id"),
    ),
    "a decimal without scale": (
        DATABASE,
        put("attributes", 1, value={"name": "balance", "type": "decimal", "precision": 9}),
    ),
    "a text with precision": (DATABASE, put("attributes", 0, "precision", value=9)),
    "too many digits": (DATABASE, put("attributes", 1, "precision", value=39)),
    "recency that isn't a moment": (DATABASE, put("attributes", 2, "type", value="date")),
    "a simple segmentation with segments": (
        DATABASE,
        put("segmentations", 0, "segments", value=["in"]),
    ),
    "an exclusive segmentation without": (DATABASE, put("segmentations", 1, "segments", value=[])),
    "a subscription twice": (DATABASE, put("subscriptions", value=["newsletter", "newsletter"])),
    "a database's unknown key": (DATABASE, put("segments", value=[])),
    "an unknown kind of table": (TABLE, put("kind", value="linked_data")),
    "a table of no database": (TABLE, without("database")),
    "a table's unknown key": (TABLE, put("subscriptions", value=["newsletter"])),
}


@pytest.mark.parametrize("wrong", WRONG_TABLES)
def test_a_wrong_table_is_refused_by_both(wrong: str) -> None:
    good, edit = WRONG_TABLES[wrong]
    model = TableDefinition if "table" in good else DatabaseDefinition
    assert complaints(ANY["table"], good) == []
    model.model_validate(good)

    content = deepcopy(good)
    edit(content)

    assert complaints(ANY["table"], content)
    faults = Faults()
    assert build(Document(Path("a.yaml"), content, {}), model, faults) is None


STREAM = {
    "stream": "clicks-by-api",
    "topic": "shop.email-activity",
    "event_types": ["CLICKED"],
    "sources": ["API", "INTERNAL"],
}


@pytest.mark.parametrize(
    "edit",
    [
        without("topic"),
        put("stream", value="a/b"),
        put("sources", value=["EVERYBODY"]),
        put("event_types", value=["CREATED"]),
        put("event_types", value=["CLICK"]),
        put("filter", value="x"),
    ],
)
def test_a_wrong_stream_is_refused_by_both(tmp_path: Path, edit: Edit) -> None:
    content = deepcopy(STREAM)
    assert complaints(ANY["stream"], content) == []
    assert complaints(SHOP["stream"], content) == []

    edit(content)

    assert complaints(ANY["stream"], content)
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(DefinitionError):
        user_streams(tmp_path, topics_of(CATALOG))


def test_the_schema_of_an_installation_knows_its_topics() -> None:
    content = {**STREAM, "topic": "shap.email-activity"}

    assert complaints(ANY["stream"], content) == []
    assert complaints(SHOP["stream"], content)


def test_a_streams_model_has_every_key_of_the_schema() -> None:
    keys = ANY["stream"]["$defs"]["StreamDefinition"]["properties"]
    assert set(keys) == set(StreamDefinition.model_fields)


def test_json_schema_writes_beside_the_definitions_what_the_installation_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(TABLES, "tables")
    Path("exports").mkdir()

    result = CliRunner().invoke(app, ["json-schema"])

    assert result.exit_code == 0, result.output
    assert result.output.split() == ["tables/.schema/table.json", "exports/.schema/export.json"]
    assert json.loads(Path("exports/.schema/export.json").read_text("utf-8")) == SHOP["export"]


def test_json_schema_for_any_database_needs_no_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(app, ["json-schema", "--any-database", "--into", "found"])

    assert result.exit_code == 0, result.output
    assert Path("found/export.json").read_text(encoding="utf-8") == written(ANY["export"])
