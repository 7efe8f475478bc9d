"""Export definitions are refused whole: each fault with its line, field and what would be right."""

import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.errors import DefinitionError
from schemas.events import Kind, Source
from schemas.tables import Catalog, TableKind, load_catalog
from sinks.exports.definition import ExportDefinition, ScheduleDefinition
from sinks.exports.export import Export, load_exports
from sinks.exports.types import EXPORT_TYPES
from sinks.rendering.compress import Compression
from sinks.rendering.layout import MOMENT_FORMATS, Separator
from sinks.rules.columns import Origin

OPENINGS = """\
export: openings
entity: marketing
database: shop
type: email-activities
event: OPENED
schedule: {at: "06:00", time_zone: Europe/Brussels}
"""
EMAIL = (
    "interactionId, campaignId, abVersion, profileId, subscription, eventTime, emailAddress, "
    "campaignTechnicalName, customerId, eventId, businessKey"
)
OF_PROFILE = (
    "profile-customerId, profile-emailAddress, profile-balance, profile-subscriptions, "
    "profile-subscription-newsletter, profile-subscription-offers, profile-segment-vip, "
    "profile-segment-lifecycle, profile-marketingConsent, profile-creationMoment, "
    "profile-updateMoment"
)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "shop.yaml").write_text(
        textwrap.dedent("""\
            database: shop
            attributes:
              - {name: customerId, type: string}
              - {name: emailAddress, type: string, personal: true}
              - {name: balance, type: decimal, precision: 18, scale: 2}
            business_key: customerId
            subscriptions: [offers, newsletter]
            segmentations:
              - {name: vip, kind: simple}
              - {name: lifecycle, kind: exclusive, segments: [new, active]}
            marketing_consent: true
            """)
    )
    (folder / "bare.yaml").write_text(
        "database: bare\nattributes: [{name: city, type: string}]\n", encoding="utf-8"
    )
    (folder / "mail.yaml").write_text(
        "database: mail\nattributes: [{name: emailAddress, type: string, personal: true}]\n"
        "business_key: emailAddress\n"
    )
    (folder / "purchases.yaml").write_text(
        "table: purchases\nkind: interaction\ndatabase: shop\n"
        "attributes: [{name: amount, type: integer}]\n"
    )
    return load_catalog(folder)


@pytest.fixture
def exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of definitions, as `exports` of the working directory: messages are short."""
    monkeypatch.chdir(tmp_path)
    folder = Path("exports")
    folder.mkdir()
    return folder


def load(folder: Path, catalog: Catalog, **files: str) -> tuple[Export, ...]:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return load_exports(folder, catalog)


def refusal(folder: Path, catalog: Catalog, **files: str) -> str:
    with pytest.raises(DefinitionError) as refused:
        load(folder, catalog, **files)
    assert refused.value.exit_code == 2
    return str(refused.value)


def headers(export: Export) -> list[str]:
    return [headed.header for headed in export.columns]


# What a definition means.


def test_a_short_definition_has_the_products_defaults(exports: Path, catalog: Catalog) -> None:
    (export,) = load(exports, catalog, a=OPENINGS)

    assert headers(export) == [
        "interactionId",
        "campaignId",
        "abVersion",
        "profileId",
        "subscription",
        "eventTime",
        "emailAddress",
        "campaignTechnicalName",
        "customerId",
    ]
    layout = export.layout
    formats = layout.formats
    assert (layout.separator, layout.compression) == (Separator.COMMA, Compression.NONE)
    assert (formats.boolean, formats.date, formats.moment, formats.values_separator) == (
        "Y/N",
        "yyyy-MM-dd",
        "yyyy-MM-dd HH:mm:ss",
        "|",
    )
    assert formats.time_zone == "Europe/Brussels"
    assert export.definition.deliver == ("transferbox",)
    assert export.definition.when_empty == "header"
    assert export.definition.accepted_sources is None
    assert str(export.topic("deltadrop")) == "deltadrop.shop.email-activity"


def test_the_file_name_has_the_local_date_of_the_close(exports: Path, catalog: Catalog) -> None:
    (export,) = load(exports, catalog, a=OPENINGS + "file: {compression: gzip}\n")
    close = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)

    assert str(export.file_name(close)) == "openings_20261125.csv.gz"
    assert str(export.file_name(close, revision=2)) == "openings_20261125-r2.csv.gz"


@pytest.mark.parametrize(
    ("file", "name", "inner"),
    [
        ("{compression: zip}", "openings_20261125-r2.zip", "openings_20261125-r2.csv"),
        (
            "{compression: zip, name: '<entity><suffix>', inner_name: '<name>_<yyyy-MM>'}",
            "marketing_20261125-r2.zip",
            "openings_2026-11-r2.csv",
        ),
        (
            "{compression: zip, name: '<entity><suffix>'}",
            "marketing_20261125-r2.zip",
            "openings_20261125-r2.csv",
        ),
        ("{compression: zip, inner_name: data}", "openings_20261125-r2.zip", "data-r2.csv"),
        ("{compression: gzip}", "openings_20261125-r2.csv.gz", None),
    ],
)
def test_an_archive_and_the_file_in_it_are_named_separately(
    exports: Path, catalog: Catalog, file: str, name: str, inner: str | None
) -> None:
    (export,) = load(exports, catalog, a=OPENINGS + f"file: {file}\n")
    close = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)

    assert str(export.file_name(close, revision=2)) == name
    assert export.inner_name(close, revision=2) == inner


def test_the_ledgers_copy_of_an_export_keeps_its_inner_name(
    exports: Path, catalog: Catalog
) -> None:
    (export,) = load(exports, catalog, a=OPENINGS + "file: {compression: zip, inner_name: data}\n")

    assert Export.from_json(export.to_json()) == export
    assert export.inner_name(datetime(2026, 11, 24, tzinfo=UTC)) == "data.csv"


def test_columns_are_chosen_ordered_and_renamed(exports: Path, catalog: Catalog) -> None:
    text = OPENINGS + "columns: [eventId, {column: customerId, header: CRM_ID}, interactionId]\n"

    (export,) = load(exports, catalog, a=text)

    assert headers(export) == ["eventId", "CRM_ID", "interactionId"]
    assert [headed.column.name for headed in export.columns] == [
        "eventId",
        "businessKey",
        "interactionId",
    ]
    assert export.columns[1].column.origin is Origin.PROFILE


def test_profile_columns_are_all_that_the_database_has(exports: Path, catalog: Catalog) -> None:
    text = OPENINGS.replace("email-activities", "profile").replace("OPENED", "CREATION")

    (export,) = load(exports, catalog, a=text)

    assert headers(export) == [
        "profileId",
        "customerId",
        "emailAddress",
        "balance",
        "subscriptions",
        "segment-vip",
        "segment-lifecycle",
        "marketingConsent",
        "creationMoment",
        "updateMoment",
    ]


def test_subscriptions_may_be_a_boolean_each(exports: Path, catalog: Catalog) -> None:
    text = OPENINGS.replace("email-activities", "profile").replace("OPENED", "UPDATE")
    text += "columns: [profileId, subscription-newsletter, subscription-offers]\n"

    (export,) = load(exports, catalog, a=text)

    assert [(one.header, one.column.type, one.column.path) for one in export.columns[1:]] == [
        ("subscription-newsletter", "boolean", ("subscriptions", "newsletter")),
        ("subscription-offers", "boolean", ("subscriptions", "offers")),
    ]


def test_a_database_without_a_key_consent_or_subscriptions_offers_no_such_columns(
    exports: Path, catalog: Catalog
) -> None:
    text = OPENINGS.replace("shop", "bare")
    profiles = text.replace("email-activities", "profile").replace("OPENED", "CREATION")

    activities, rows = load(
        exports, catalog, a=text, b=profiles.replace("export: openings", "export: profiles")
    )

    assert "businessKey" not in [headed.column.name for headed in activities.columns]
    assert headers(rows) == ["profileId", "city", "creationMoment", "updateMoment"]


def test_sources_are_single_ones_or_groups() -> None:
    definition = ExportDefinition(
        name="deleted",
        entity="crm",
        database="shop",
        type="profile-changes",
        event="DELETED",
        schedule=ScheduleDefinition(at="06:00", time_zone="UTC"),
        sources=("EXTERNAL", "FORM"),
    )

    assert definition.accepted_sources == {Source.API, Source.ETL, Source.FORM}


def test_the_ledgers_form_of_an_export_reads_back_equal(exports: Path, catalog: Catalog) -> None:
    text = OPENINGS + 'columns: [eventTime, customerId]\nformats: {moment: "ISO 8601"}\n'
    (export,) = load(exports, catalog, a=text)

    stored = export.to_json()

    assert Export.from_json(stored) == export
    assert Export.from_json(stored).to_json() == stored
    assert "\n" not in stored


def test_another_database_type_or_event_type_is_another_export(
    exports: Path, catalog: Catalog
) -> None:
    (export,) = load(exports, catalog, a=OPENINGS)
    (renamed,) = load(exports, catalog, a=OPENINGS + "columns: [{column: profileId, header: P}]\n")
    (clicks,) = load(exports, catalog, a=OPENINGS.replace("OPENED", "CLICKED"))
    (elsewhere,) = load(exports, catalog, a=OPENINGS.replace("shop", "mail") + RENAMED_KEY)

    assert renamed.identity == export.identity
    assert clicks.identity != export.identity
    assert elsewhere.identity != export.identity


RENAMED_KEY = "columns: [profileId, emailAddress, {column: businessKey, header: key}]\n"


def test_the_example_exports_are_valid_and_of_every_kind_of_event() -> None:
    demo = Path(__file__).parents[3] / "deploy" / "demo"

    found = load_exports(demo / "exports", load_catalog(demo / "tables"))

    assert {one.increment.kind for one in found} == set(Kind) - {Kind.CAMPAIGN}
    assert {one.table for one in (export.type for export in found)} == {None, *TableKind}


# What is refused: one clear message each.


@pytest.mark.parametrize(
    ("line", "instead", "message"),
    [
        ("entity: marketing\n", "", "exports/a.yaml:1: field 'entity': is missing"),
        (
            "event: OPENED",
            "event: OPEN",
            "exports/a.yaml:5: field 'event': 'OPEN' isn't an event type of email-activities; "
            "choose from SENT, NOT_SENT, OPENED, CLICKED, BOUNCED, UNSUBSCRIBED; "
            "nearest match 'OPENED'",
        ),
        (
            "type: email-activities",
            "type: email-activity",
            "exports/a.yaml:4: field 'type': 'email-activity' isn't an export type; "
            f"choose from {', '.join(EXPORT_TYPES)}; nearest match 'email-activities'",
        ),
        (
            "database: shop",
            "database: shap",
            "exports/a.yaml:3: field 'database': 'shap' isn't a database; "
            "choose from bare, mail, shop; nearest match 'shop'",
        ),
        (
            "Europe/Brussels",
            "Europe/Bruxelles",
            "exports/a.yaml:6: field 'schedule.time_zone': 'Europe/Bruxelles' isn't a time zone; "
            "nearest match 'Europe/Brussels'",
        ),
        (
            "Europe/Brussels",
            "Middle-earth",
            "exports/a.yaml:6: field 'schedule.time_zone': 'Middle-earth' isn't a time zone; "
            "use a name like Europe/Brussels",
        ),
        (
            '"06:00"',
            '"6 am"',
            "exports/a.yaml:6: field 'schedule.at': '6 am' isn't an hour of the day; "
            'write it as "06:00"',
        ),
        (
            '"06:00"',
            "16:00",
            "exports/a.yaml:6: field 'schedule.at': '16:00' isn't text: "
            'YAML reads it as the number 960; put it in quotes: "16:00"',
        ),
        (
            "export: openings",
            "export: ../openings",
            "exports/a.yaml:1: field 'export': '../openings' isn't allowed; "
            "it has letters, digits, dots, dashes and underscores, a letter or digit first",
        ),
        (
            "entity: marketing",
            "entity: marketing\ntable: purchases",
            "exports/a.yaml:3: field 'table': exports of type email-activities aren't of a table; "
            "remove it",
        ),
        (
            "entity: marketing",
            "entity: marketing\ncolour: red",
            "exports/a.yaml:3: field 'colour': unknown key; choose from export, suffix, entity, "
            "database, table, type, event, sources, columns, formats, file, schedule, deliver, "
            "when_empty, guard_rails, recipients; nearest match 'columns'",
        ),
    ],
)
def test_a_wrong_line_is_refused(
    exports: Path, catalog: Catalog, line: str, instead: str, message: str
) -> None:
    assert line in OPENINGS

    assert refusal(exports, catalog, a=OPENINGS.replace(line, instead)) == message


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (
            "columns:\n  - interactionId\n  - clickedUrl\n",
            "field 'columns': column 'clickedUrl' doesn't exist for email-activities/OPENED; "
            f"choose from {EMAIL}",
        ),
        (
            "columns:\n  - interactionId\n  - profileID\n",
            "field 'columns': column 'profileID' doesn't exist for email-activities/OPENED; "
            f"choose from {EMAIL}; nearest match 'profileId'",
        ),
        (
            "columns:\n  - interactionId\n  - profile-city\n",
            "field 'columns': column 'profile-city' doesn't exist for email-activities/OPENED; "
            f"choose from {OF_PROFILE}; nearest match 'profile-subscriptions'",
        ),
        (
            "columns:\n  - profileId\n  - {column: campaignId, header: profileId}\n",
            "field 'columns': two columns have the header 'profileId': 'profileId' and "
            "'campaignId'; rename one: {column: campaignId, header: …}",
        ),
        (
            'formats:\n  date: yyyy-MM-dd\n  moment: "yyyy-MM-dd HH:mm:sss"\n',
            "field 'formats.moment': 'yyyy-MM-dd HH:mm:sss' isn't a format of moments; "
            f"choose from {', '.join(MOMENT_FORMATS)}; nearest match 'yyyy-MM-dd HH:mm:ss'",
        ),
        (
            "formats:\n  date: yyyy-MM-dd\n  boolean: yes/no\n",
            "field 'formats.boolean': 'yes/no' isn't one of them; choose from 1/0, Y/N, "
            "TRUE/FALSE; nearest match 'Y/N'",
        ),
        (
            'file:\n  separator: semicolon\nformats: {values_separator: ";"}\n',
            "field 'formats.values_separator': ';' stands between the fields of the file already "
            "(semicolon); choose another, as |",
        ),
        (
            "file:\n  compression: none\n  separator: pipe\n",
            "field 'file.separator': 'pipe' isn't a separator of fields; "
            "choose from comma, semicolon, tab",
        ),
        (
            "file:\n  compression: none\n  name: '<name><suffix>.csv'\n",
            "field 'file.name': '<name><suffix>.csv' has an extension; leave it off, it is added",
        ),
        (
            'columns:\n  - interactionId\n  - {column: profileId, header: "a\\tb"}\n',
            "field 'columns[1].header': a header is one line of text, without tabs",
        ),
        (
            'columns:\n  - interactionId\n  - {column: profileId, header: "\\uFEFFid"}\n',
            "field 'columns[1].header': a header can't begin with a byte order mark",
        ),
        (
            "file:\n  separator: comma\n  inner_name: '<name>'\n",
            "field 'file.inner_name': there is no file in an archive with compression none; "
            "remove it, or choose compression: zip",
        ),
        (
            "file:\n  compression: gzip\n  inner_name: '<name>'\n",
            "field 'file.inner_name': there is no file in an archive with compression gzip; "
            "remove it, or choose compression: zip",
        ),
        (
            "file:\n  compression: zip\n  inner_name: '<nam>'\n",
            "field 'file.inner_name': <nam> is neither one of <name>, <suffix>, <entity> nor a "
            "date pattern such as <yyyyMMdd>",
        ),
        (
            "file:\n  compression: zip\n  inner_name: '<name>.csv'\n",
            "field 'file.inner_name': '<name>.csv' has an extension; leave it off, it is added",
        ),
        (
            "file:\n  inner_name: x\n  compression: tar\n",
            "field 'file.compression': 'tar' isn't one of them; choose from none, gzip, zip",
        ),
        (
            "when_empty: header\ndeliver: [transferbox]\nrecipients: [someone]\n",
            "field 'recipients[0]': 'someone' isn't allowed; write it as somebody@shop.example",
        ),
        (
            "when_empty: header\ndeliver: [transferbox]\nrecipients: [a..b@shop.example]\n",
            "field 'recipients': no mail can be sent to 'a..b@shop.example'; write it as "
            "somebody@shop.example (RFC 5322, dot-atom), a domain of other letters as xn--…",
        ),
        (
            "when_empty: header\nrecipients: []\ndeliver: [transferbocks]\n",
            "field 'deliver': 'transferbocks' isn't a location; choose from transferbox; "
            "nearest match 'transferbox'",
        ),
        (
            "when_empty: header\nrecipients: []\nsources: [INTERNAL]\n",
            "field 'sources': email-activities/OPENED has no source filter; remove it",
        ),
    ],
)
def test_an_added_field_is_refused(
    exports: Path, catalog: Catalog, added: str, message: str
) -> None:
    assert refusal(exports, catalog, a=OPENINGS + added) == f"exports/a.yaml:9: {message}"


@pytest.mark.parametrize(
    "address", ["é@shop.example", "a@sh\u00f6p.example", '"a@x.y', "a(b@x.y", "a:b@x.y", "a@x.y."]
)
def test_a_recipient_that_no_mail_can_be_built_for_is_refused(
    exports: Path, catalog: Catalog, address: str
) -> None:
    found = refusal(exports, catalog, a=f"{OPENINGS}recipients:\n  - '{address}'\n")

    assert f"no mail can be sent to {address!r}" in found


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        (
            "_yyyyMM",
            "two days could have the same file name ('openings_202611.csv'); "
            "the name needs year, month and day: yyyy, MM and dd",
        ),
        (
            "_YYYYMMdd",
            "'_YYYYMMdd': 'Y' isn't one of yyyy, MM, dd, HH, mm, ss; quote other text with '",
        ),
        ("/yyyyMMdd", "'/' can't be in a file name here; letters, digits and . _ + = @ ~ - can"),
        (
            "_yyyyMM-'r'dd",
            "'openings_202611-r25' ends like a revision (-r1); put something else at its end",
        ),
    ],
)
def test_a_suffix_that_can_not_be_used_is_refused(
    exports: Path, catalog: Catalog, suffix: str, message: str
) -> None:
    found = refusal(exports, catalog, a=OPENINGS + f'suffix: "{suffix}"\n')

    assert found == f"exports/a.yaml:7: field 'suffix': {message}"


def test_two_columns_with_one_header_are_refused_also_by_default(
    exports: Path, catalog: Catalog
) -> None:
    text = OPENINGS.replace("shop", "mail")

    assert refusal(exports, catalog, a=text) == (
        "exports/a.yaml:1: field 'columns': two columns have the header 'emailAddress': "
        "'emailAddress' and 'businessKey'; rename one: {column: businessKey, header: …}"
    )


def test_a_column_that_the_database_lacks_is_refused_with_the_reason(
    exports: Path, catalog: Catalog
) -> None:
    text = OPENINGS.replace("shop", "bare") + "columns: [businessKey]\n"

    assert refusal(exports, catalog, a=text) == (
        "exports/a.yaml:7: field 'columns': column 'businessKey' doesn't exist for "
        "email-activities/OPENED: database 'bare' declares no business key; choose from "
        "interactionId, campaignId, abVersion, profileId, subscription, eventTime, emailAddress, "
        "campaignTechnicalName, eventId"
    )


def test_all_faults_of_all_files_are_in_one_refusal(exports: Path, catalog: Catalog) -> None:
    wrong = OPENINGS.replace("Brussels", "Brusels").replace("OPENED", "OPENNED")

    found = refusal(
        exports, catalog, a=wrong + "columns: [interactionId]\nwhen_empty: never\n", b="export: b\n"
    )

    assert [line.partition(": ")[0] for line in found.splitlines()] == [
        "exports/a.yaml:5",
        "exports/a.yaml:6",
        "exports/a.yaml:8",
        *["exports/b.yaml:1"] * 5,
    ]


def test_a_name_that_is_defined_twice_is_refused(exports: Path, catalog: Catalog) -> None:
    other = OPENINGS.replace("openings", "Openings")

    assert refusal(exports, catalog, a=OPENINGS, b=other) == (
        "exports/b.yaml:1: field 'export': 'Openings' is defined twice "
        "(upper and lower case are the same); first at exports/a.yaml:1"
    )


def test_two_exports_that_could_write_one_file_name_are_refused(
    exports: Path, catalog: Catalog
) -> None:
    other = OPENINGS.replace("openings", "openings_") + "suffix: yyyyMMdd\n"

    assert refusal(exports, catalog, a=OPENINGS, b=other) == (
        "exports/b.yaml:1: field 'export': files of 'openings_' and 'openings' could have one "
        "name; change name, suffix or file name here or at exports/a.yaml:1"
    )


def test_a_tab_in_the_indentation_is_refused(exports: Path, catalog: Catalog) -> None:
    text = OPENINGS + "file:\n\tseparator: comma\n"

    assert refusal(exports, catalog, a=text) == (
        "exports/a.yaml:8: a tab in the indentation; YAML is indented with spaces"
    )


def test_an_empty_file_is_refused(exports: Path, catalog: Catalog) -> None:
    assert refusal(exports, catalog, a="# to be written\n") == (
        "exports/a.yaml:1: the file is empty; remove it, or write the definition"
    )


def test_a_folder_instead_of_a_file_is_refused(exports: Path, catalog: Catalog) -> None:
    (exports / "a.yaml").mkdir()

    assert refusal(exports, catalog) == (
        "exports/a.yaml: is a folder, not a file; rename it, or move what it holds up one level"
    )


def test_what_somebody_may_think_is_read_is_refused(exports: Path, catalog: Catalog) -> None:
    (exports / "crm").mkdir()
    (exports / "crm" / "b.yaml").write_text("")
    (exports / "a.YAML").write_text("")
    (exports / ".kept").mkdir()
    (exports / ".kept" / "c.yaml").write_text("")
    (exports / "notes").mkdir()

    assert refusal(exports, catalog).splitlines() == [
        "exports/a.YAML: isn't read: its name ends in .YAML; let it end in .yaml",
        "exports/crm: isn't looked into; move the definitions that it holds up one level",
    ]


def test_a_file_instead_of_the_folder_is_refused(exports: Path, catalog: Catalog) -> None:
    Path("file").write_text("")

    assert refusal(Path("file"), catalog) == (
        "file: the folder of definitions is a file, not a folder; "
        "it holds one YAML file for each definition"
    )


def test_what_an_editor_leaves_beside_a_definition_is_left_alone(
    catalog: Catalog, tmp_path: Path
) -> None:
    """Emacs' lock is a link to nowhere; vim's file of changes begins with a dot, too."""
    folder = tmp_path / "beside"
    folder.mkdir()
    (folder / "openings.yaml").write_text(OPENINGS)
    (folder / ".#openings.yaml").symlink_to("somebody@somewhere.4711")
    (folder / ".openings.yaml").write_text("not: [a definition")

    assert [export.name for export in load_exports(folder, catalog)] == ["openings"]
