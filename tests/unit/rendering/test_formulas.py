"""Formulas in values: escaped where an export says so, and the escape can be undone (CWE-1236)."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.settings.settings import load_settings
from schemas.tables import load_catalog
from sinks.exports.export import Export, load_exports
from sinks.rendering.formulas import escaped
from sinks.rendering.layout import Layout, RenderedColumn
from sinks.rendering.render import render
from sinks.service.definitions import validate_definitions
from tests.shop.offline import DEFINITIONS

DOC = Path(__file__).parents[3] / "docs" / "exports.md"
UNDO = re.compile(re.findall(r're\.sub\(r"(.*?)", "", value\)', DOC.read_text())[0])
"""The receiver's expression, of the docs."""
TEXTS = st.text(st.sampled_from("'=+-@\t\r0aé ()\n"), max_size=5)


def one(text: str | None) -> str | None:
    found: str | None = escaped(pa.array([text], pa.string()))[0].as_py()
    return found


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r"])
def test_what_begins_as_a_formula_gets_an_apostrophe(first: str) -> None:
    assert one(f"{first}1+1") == f"'{first}1+1"
    assert one(first) == f"'{first}"


@pytest.mark.parametrize("text", ["", "a=1", " =1", "'a", "1-2", "\n=1", "é", None])
def test_what_begins_otherwise_stays(text: str | None) -> None:
    assert one(text) == text


@pytest.mark.parametrize("number", ["+32", "+32 2 555 01 23", "+1 (555) 010-0199", "+32/2.555"])
def test_a_phone_number_stays(number: str) -> None:
    assert one(number) == number


@pytest.mark.parametrize("text", ["+", "+a", "+1+1", "+32x", "+1\n", "+(32)", "+１"])
def test_what_only_begins_as_a_phone_number_is_escaped(text: str) -> None:
    assert one(text) == f"'{text}"


@given(TEXTS)
def test_the_receiver_of_the_docs_gets_every_value_back(text: str) -> None:
    escaped_text = one(text)
    assert escaped_text is not None
    assert UNDO.sub("", escaped_text) == text


@given(st.lists(TEXTS | st.none(), max_size=6), st.integers(0, 3))
def test_a_slice_of_an_array_is_escaped_as_its_values(texts: list[str | None], start: int) -> None:
    array = pa.array(texts, pa.string()).slice(start)

    assert escaped(array).to_pylist() == [one(text) for text in texts[start:]]


def test_only_columns_that_escape_are_escaped_and_quotes_come_after() -> None:
    data = pa.table({"a": ['=1,"x"', None, ""], "b": ["=1", "-1", "x"]})
    columns = [RenderedColumn("a", "=a", escapes=True), RenderedColumn("b", "b")]
    out = io.BytesIO()
    render([data], Layout(columns), out)

    assert out.getvalue() == b'=a,b\n"\'=1,""x""",=1\n,-1\n"",x\n'


def exports(tmp_path: Path, changed: str) -> dict[str, Export]:
    for name, content in {**DEFINITIONS, "exports/changed.yaml": changed}.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(content)
    loaded = load_exports(tmp_path / "exports", load_catalog(tmp_path / "tables"))
    return {export.name: export for export in loaded}


EXPORT = """export: changed
entity: e
database: shop
type: profile
event: UPDATE
columns:
  - profileId
  - {column: city, header: "=city"}
  - {column: hobbies, header: "-h"}
  - birthDate
  - segment-vip
  - subscriptions
schedule: {at: "06:00", time_zone: UTC}
"""


def test_text_attributes_are_escaped_and_nothing_else(tmp_path: Path) -> None:
    text = EXPORT + "formats: {formulas: escape}\n"
    export = exports(tmp_path, text)["changed"]

    assert [c.name for c in export.layout.columns if c.escapes] == ["city", "hobbies"]


def test_an_export_that_keeps_formulas_is_stored_as_before(tmp_path: Path) -> None:
    kept = exports(tmp_path, EXPORT)["changed"]

    assert "formulas" not in kept.to_json()
    assert not any(column.escapes for column in kept.layout.columns)
    assert Export.from_json(kept.to_json()) == kept


def test_an_export_that_escapes_is_stored_so(tmp_path: Path) -> None:
    text = EXPORT + "formats: {formulas: escape}\n"
    export = exports(tmp_path, text)["changed"]

    assert Export.from_json(export.to_json()) == export


def test_validate_warns_of_headers_that_begin_as_formulas(tmp_path: Path) -> None:
    exports(tmp_path, EXPORT)
    (tmp_path / "deltadrop.yaml").write_text("{}")

    assert validate_definitions(load_settings(tmp_path / "deltadrop.yaml")).warnings == (
        "export 'changed': a spreadsheet takes the header for a formula: '=city', '-h'; choose"
        " another `header` for its column",
    )
