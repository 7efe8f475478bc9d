# ruff: noqa: E501 - messages are read whole
"""Table definitions: right ones are read, and a wrong one is refused with all its faults."""

from pathlib import Path
from textwrap import dedent

import pytest

from schemas.errors import DefinitionError
from schemas.tables import Catalog, TableKind, load_catalog
from tests.shop.events import CATALOG

SHOP = """\
    database: shop
    attributes:
      - {name: customerId, type: string}
    business_key: customerId
    """


def catalog_of(folder: Path, **files: str) -> Catalog:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(dedent(text), encoding="utf-8")
    return load_catalog(folder)


def faults_of(folder: Path, **files: str) -> list[str]:
    with pytest.raises(DefinitionError) as refused:
        catalog_of(folder, **files)
    assert refused.value.exit_code == 2
    return str(refused.value).replace(f"{folder}/", "").splitlines()


def test_the_shops_definitions_are_realistic() -> None:
    shop = CATALOG.databases["shop"]
    assert len(shop.attributes) >= 15
    assert shop.attribute("emailAddress").personal
    assert {table.kind for table in CATALOG.tables.values()} == set(TableKind)
    assert CATALOG.tables["shop", "loyaltyCards"].key_attribute is None
    key = CATALOG.tables["shop", "purchases"].key_attribute
    assert key is not None
    assert key.name == "purchaseNumber"


def test_all_faults_of_all_files_come_in_one_refusal(tmp_path: Path) -> None:
    faults = faults_of(
        tmp_path,
        shop="""\
            database: shop
            attributes:
              - {name: customerId, type: strng}
              - {name: balance, type: decimal}
              - {nme: points, type: integer}
            subscriptions: [offers, Offers]
            """,
        stores="""\
            table: stores
            kind: repositry
            database: shop
            """,
    )
    assert faults == [
        "shop.yaml:3: field 'attributes[0].type': 'strng' isn't one of them; choose from string,"
        " integer, decimal, boolean, date, moment, strings; nearest match 'string'",
        "shop.yaml:4: field 'attributes[1]': a decimal needs precision (up to 38) and scale",
        "shop.yaml:5: field 'attributes[2].name': is missing",
        "shop.yaml:5: field 'attributes[2].nme': unknown key; choose from name, type, personal,"
        " recency, precision, scale; nearest match 'name'",
        "stores.yaml:2: field 'kind': 'repositry' isn't one of them; choose from linked-data,"
        " interaction, repository; nearest match 'repository'",
        "stores.yaml:1: field 'attributes': is missing",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "x.yaml:1: the file is empty; remove it, or write the definition"),
        ("# nothing\n", "x.yaml:1: the file is empty; remove it, or write the definition"),
        (
            "database: shop\n\tattributes: []\n",
            "x.yaml:2: a tab in the indentation; YAML is indented with spaces",
        ),
        (
            "- a\n",
            "x.yaml:1: isn't a mapping of keys to values; it begins with a line like `key: value`",
        ),
        (
            "a: 1\n",
            "x.yaml:1: the file doesn't say what it defines; it begins with `table: <name>` or `database: <name>`",
        ),
        (
            "database: shop\n---\ndatabase: b\n",
            "x.yaml:3: a second document; one definition for each file",
        ),
        (
            "database: shop\ndatabase: b\n",
            "x.yaml:2: field 'database': is there twice; first at line 1",
        ),
        ("a: [1, 2\n", "x.yaml:2: isn't YAML: expected ',' or ']', but got '<stream end>'"),
        ("database: &a [*a]\n", "x.yaml:1: an alias to a value that holds it; write the value out"),
        (
            "database: 2024-13-45\n",
            "x.yaml:1: '2024-13-45' can't be read: month must be in 1..12; put text in quotes",
        ),
    ],
)
def test_a_file_that_isnt_a_definition_gets_one_clear_message(
    tmp_path: Path, text: str, fault: str
) -> None:
    assert faults_of(tmp_path, x=text) == [fault]


def test_a_folder_in_the_place_of_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").mkdir()
    assert faults_of(tmp_path) == [
        "x.yaml: is a folder, not a file; rename it, or move what it holds up one level"
    ]


def test_a_folder_that_isnt_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="the folder of definitions doesn't exist"):
        load_catalog(tmp_path / "nowhere")
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(DefinitionError, match="is a file, not a folder"):
        load_catalog(file)


def test_a_folder_without_a_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="no database is defined here"):
        load_catalog(tmp_path)


def test_a_file_that_isnt_utf8_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"database: \xff\n")
    assert faults_of(tmp_path) == ["x.yaml:1: isn't UTF-8 (byte 10); save it as UTF-8"]


def test_a_name_is_defined_once(tmp_path: Path) -> None:
    assert faults_of(tmp_path, a=SHOP, b=SHOP) == [
        "b.yaml:1: field 'database': 'shop' is defined twice; first at a.yaml:1"
    ]


def test_a_table_belongs_to_a_database_that_is_defined(tmp_path: Path) -> None:
    table = """\
        table: stores
        kind: repository
        database: shp
        attributes:
          - {name: city, type: string}
        """
    assert faults_of(tmp_path, a=SHOP, b=table) == [
        "b.yaml:3: field 'database': 'shp' of table 'stores' isn't defined; choose from shop;"
        " nearest match 'shop'"
    ]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            "business_key: customerID",
            "x.yaml:4: field 'business_key': 'customerID' isn't an attribute; choose from customerId, day; nearest match 'customerId'",
        ),
        (
            "business_key: day",
            "x.yaml:4: field 'business_key': attribute 'day' must be of type string or integer",
        ),
        (
            "subscriptions: [a, b, a]",
            "x.yaml:4: field 'subscriptions[2]': 'a' is there twice (upper and lower case count as the same)",
        ),
        (
            "subscriptions: [a b]",
            "x.yaml:4: field 'subscriptions[0]': 'a b' isn't allowed; it has letters, digits, dashes and underscores",
        ),
        (
            "subscriptions: [true]",
            "x.yaml:4: field 'subscriptions[0]': 'true' isn't text: YAML reads it as true; put it in quotes: \"true\"",
        ),
        (
            "segmentations: [{name: a, kind: exclusive}]",
            "x.yaml:4: field 'segmentations[0]': an exclusive segmentation, and only it, lists its segments",
        ),
        (
            "segmentations: [{name: a, kind: simple, segments: [x]}]",
            "x.yaml:4: field 'segmentations[0]': an exclusive segmentation, and only it, lists its segments",
        ),
        (
            'marketing_consent: "true"',
            "x.yaml:4: field 'marketing_consent': 'true' isn't true or false",
        ),
        (
            "marketing_consent: perhaps",
            "x.yaml:4: field 'marketing_consent': 'perhaps' isn't true or false",
        ),
    ],
)
def test_a_wrong_value_names_line_field_and_what_would_be_right(
    tmp_path: Path, change: str, fault: str
) -> None:
    text = f"database: shop\nattributes:\n  [{{name: customerId, type: string}}, {{name: day, type: date}}]\n{change}\n"
    assert faults_of(tmp_path, x=text) == [fault]


@pytest.mark.parametrize(
    ("attribute", "fault"),
    [
        ("{name: profileId, type: integer}", "has the name of a technical column"),
        ("{name: a-b, type: integer}", "isn't allowed"),
        ("{name: a, type: string, personal: 'yes'}", "'yes' isn't true or false"),
        ("{name: a, type: string, personal: 1}", "'1' isn't true or false"),
        ("{name: a, type: decimal, precision: 39, scale: 2}", "'39' is too large; it's up to 38"),
        ("{name: a, type: decimal, precision: 3, scale: 4}", "scale 4 is larger than precision 3"),
        ("{name: a, type: string, scale: 4}", "only a decimal has precision and scale"),
        ("{name: a, type: date, recency: true}", "a recency attribute is of type moment"),
    ],
)
def test_a_wrong_attribute_is_refused(tmp_path: Path, attribute: str, fault: str) -> None:
    (found,) = faults_of(tmp_path, x=f"database: shop\nattributes:\n  - {attribute}\n")
    assert found.startswith("x.yaml:3: field 'attributes[0]")
    assert fault in found
