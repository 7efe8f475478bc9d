"""A wrong value is shown as it is written, with what would be right, in plain words."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import DefinitionError
from schemas.settings.settings import load_settings
from schemas.tables import load_catalog
from sinks.exports.export import load_exports
from sinks.locations import load_locations
from tests.shop.offline import with_exports

EXPORT = """export: sent
entity: crm
database: shop
type: email-activities
event: SENT
schedule: {at: "06:00", time_zone: UTC}
"""


def fault_of(tmp_path: Path, text: str) -> str:
    """The one fault of an export, without its file."""
    for name, content in with_exports().items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (tmp_path / "exports").mkdir(exist_ok=True)
    (tmp_path / "exports/sent.yaml").write_text(text)
    with pytest.raises(DefinitionError) as refused:
        load_exports(tmp_path / "exports", load_catalog(tmp_path / "tables"))
    return str(refused.value).replace(f"{tmp_path}/exports/sent.yaml:", "")


SCHEDULE = 'schedule: {at: "06:00", time_zone: UTC}'


@pytest.mark.parametrize(
    ("given", "wrong", "fault"),
    [
        (
            '"06:00"',
            "12:30",
            "6: field 'schedule.at': '12:30' isn't text: YAML reads it as the number 750; "
            'put it in quotes: "12:30"',
        ),
        (
            "sent\n",
            "no\n",
            "1: field 'export': 'no' isn't text: YAML reads it as false; put it in quotes: \"no\"",
        ),
        (
            SCHEDULE,
            "schedule:",
            "6: field 'schedule': is empty; write its fields below it, indented",
        ),
        ("SENT", "", "5: field 'event': is empty"),
        (
            "shop",
            "null",
            "3: field 'database': 'null' isn't text: YAML reads it as nothing; "
            'put it in quotes: "null"',
        ),
        ("entity: crm", "entity:\tcrm", "2: a tab within the line; write a space in its place"),
        (
            "crm",
            "''",
            "2: field 'entity': '' isn't allowed; it has letters, digits, dots, dashes "
            "and underscores, a letter or digit first",
        ),
    ],
)
def test_a_value_is_shown_as_it_is_written(
    tmp_path: Path, given: str, wrong: str, fault: str
) -> None:
    assert fault_of(tmp_path, EXPORT.replace(given, wrong)) == fault


@pytest.mark.parametrize(
    ("added", "fault"),
    [
        ("when_empty: no", "'when_empty': 'no' isn't one of them; choose from header, skip"),
        ("when_empty:", "'when_empty': is empty; choose from header, skip"),
        (
            "file: {compression: null}",
            "'file.compression': 'null' isn't one of them; choose from none, gzip, zip",
        ),
        (
            "columns: [true]",
            "'columns[0]': 'true' isn't text: YAML reads it as true; put it in quotes: \"true\"",
        ),
        ("columns: yes", "'columns': 'yes' isn't a list; write it as [one, another]"),
        (
            "guard_rails: {rows_at_least: 1.5}",
            "'guard_rails.rows_at_least': '1.5' isn't a whole number",
        ),
        (
            "guard_rails: {rows_at_least: -0x10}",
            "'guard_rails.rows_at_least': '-0x10' is too small; it's 0 or more",
        ),
        ("formats: {values_separator: ''}", "'formats.values_separator': is empty"),
        (
            "formats: {values_separator: '||'}",
            "'formats.values_separator': '||' is too long; it has up to 1 characters",
        ),
        (
            "columns: [{column: profileId, header: ' '}]",
            "'columns[0].header': a header can't be of blanks only",
        ),
        (
            'columns: [{column: profileId, header: "a\\u2028b"}]',
            "'columns[0].header': a header is one line of text, without tabs",
        ),
        (
            'columns: [{column: profileId, header: "a\\u0085b"}]',
            "'columns[0].header': a header is one line of text, without tabs",
        ),
        ("file: {compression: gzip, inner_name: ''}", "'file.inner_name': is empty"),
    ],
)
def test_an_added_value_is_shown_as_it_is_written(tmp_path: Path, added: str, fault: str) -> None:
    assert fault_of(tmp_path, f"{EXPORT}{added}\n") == f"7: field {fault}"


def test_a_number_of_thousands_of_digits_is_refused_in_our_words(tmp_path: Path) -> None:
    text = f"{EXPORT}guard_rails: {{rows_at_least: {'9' * 5000}}}\n"

    assert fault_of(tmp_path, text) == (
        f"7: '{'9' * 57}...' can't be read: it has 5000 digits; put text in quotes"
    )


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (
            "kafka: 5",
            "field 'kafka': what is given isn't a group of fields; write its fields below it,"
            " indented",
        ),
        ("worker: {group: ''}", "field 'worker.group': is empty"),
        (
            "close: {memory_limit: lots}",
            "field 'close.memory_limit': 'lots' isn't allowed; write it as 800MB or 1.5GB",
        ),
        (
            "close: {wait_seconds: -1}",
            "field 'close.wait_seconds': '-1' is too small; it's 0.0 or more",
        ),
        (
            "observe: {worker_port: 70000}",
            "field 'observe.worker_port': '70000' is too large; it's less than 65536",
        ),
    ],
)
def test_settings_are_refused_in_our_words(tmp_path: Path, settings: str, fault: str) -> None:
    file = tmp_path / "deltadrop.yaml"
    file.write_text(f"{settings}\n")

    with pytest.raises(DefinitionError) as refused:
        load_settings(file)

    assert str(refused.value) == f"{file}:1: {fault}"


def test_a_fault_of_a_location_names_the_location(tmp_path: Path) -> None:
    file = tmp_path / "deltadrop.yaml"
    file.write_text("locations:\n  partner: {kind: s3, bucket: drops, attempts: many}\n")

    with pytest.raises(DefinitionError) as refused:
        load_locations(load_settings(file))

    assert str(refused.value) == (
        f"{file}:2: field 'locations.partner.attempts': 'many' isn't a whole number"
    )


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("no", "false"),
        ("Yes", "true"),
        ("on", "true"),
        ("OFF", "false"),
        ("010", "the number 8"),
        ("1_000", "the number 1000"),
        ("12:30", "the number 750"),
        ("1.5", "the number 1.5"),
        ("2026-01-31", "a date"),
        ("null", "nothing"),
        ("~", "nothing"),
        ("9" * 400, "a number"),
    ],
)
def test_a_column_that_yaml_makes_something_else_of_is_to_be_in_quotes(
    tmp_path: Path, name: str, read: str
) -> None:
    fault = fault_of(tmp_path, EXPORT + f"columns: [interactionId, {name}]\n")
    quoted = f'put it in quotes: "{name}"' if len(name) < 60 else "put it in quotes"
    shown = name if len(name) < 60 else f"{name[:57]}..."
    assert fault == (
        f"7: field 'columns[1]': '{shown}' isn't text: YAML reads it as {read}; {quoted}"
    )


def test_what_isnt_right_in_quotes_either_isnt_to_be_in_quotes(tmp_path: Path) -> None:
    fault = fault_of(tmp_path, EXPORT.replace("database: shop\n", "database: shop\nformats: no\n"))
    assert "quotes" not in fault
