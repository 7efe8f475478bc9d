"""Write what is made from declarations: tables of docs/exports.md, docs/json.md, JSON Schemas."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from deploy.reference.json_page import json_page
from sinks.authoring.json_schema import json_schemas, written
from sinks.authoring.reference import types_reference

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "exports.md"
JSON_PAGE: Final = ROOT / "docs" / "json.md"
SCHEMAS: Final = ROOT / "schemas" / "json"
BEGIN: Final = "<!-- Made from sinks/exports/types.py by `make reference`. -->\n"
END: Final = "<!-- So far. -->\n"


def page(text: str) -> str:
    """The page `text` with its tables generated again."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, f"{PAGE} has lost its mark: {BEGIN}"
    assert end, f"{PAGE} has lost its mark: {END}"
    return f"{before}{BEGIN}\n{types_reference()}\n{END}{after}"


def main() -> None:
    """Write the page and all JSON Schemas."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    JSON_PAGE.write_text(json_page(), encoding="utf-8")
    SCHEMAS.mkdir(exist_ok=True)
    for kind, schema in json_schemas().items():
        (SCHEMAS / f"{kind}.json").write_text(written(schema), encoding="utf-8")
    print(f"written: {PAGE}, {JSON_PAGE}, {SCHEMAS}")


if __name__ == "__main__":
    main()
