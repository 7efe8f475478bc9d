"""What a manifest says, and that it adds up (SPEC §3 Balance, §7)."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from schemas.errors import CloseError, HeldError
from sinks.drops.manifest import Balance, ExportEntry, Manifest, Released, Window
from tests.unit.drops.drops import export, write_drop

ROWS = pa.table(
    {
        "interactionId": pa.array([1, 2], pa.int64()),
        "eventTime": pa.array([0, None], pa.timestamp("ms", "UTC")),
    }
)


def test_a_manifest_is_this_text(tmp_path: Path) -> None:
    late = {date(2026, 3, 28): 3, date(2026, 3, 27): 1}

    path, manifest = write_drop(tmp_path, export("interactionId", "eventTime"), ROWS, late)

    assert json.loads(manifest.to_json()) == {
        "format": 1,
        "drop": "openings@20260329T040000.000Z",
        "previous_drop": "openings@20260328T050000.000Z",
        "export": {
            "name": "openings",
            "entity": "marketing",
            "database": "shop",
            "table": None,
            "type": "email-activities",
            "event": "OPENED",
        },
        "window": {
            "begin": {
                "utc": "2026-03-28T05:00:00.000+00:00",
                "local": "2026-03-28T06:00:00.000+01:00",
            },
            "end": {
                "utc": "2026-03-29T04:00:00.000+00:00",
                "local": "2026-03-29T06:00:00.000+02:00",
            },
            "time_zone": "Europe/Brussels",
            "hours": 23.0,
            "remark": "a day of 23 hours: the clocks were changed",
        },
        "file": {
            "name": "openings_20260329.csv",
            "revision": 0,
            "rows": 2,
            "bytes": path.stat().st_size,
            "sha256": manifest.file.sha256 if manifest.file else None,
            "compression": "none",
        },
        "dialect": {
            "encoding": "UTF-8",
            "separator": ",",
            "quote": '"',
            "escape": '"',
            "line_end": "\n",
            "header": True,
            "decimal_point": ".",
            "null": "",
            "empty": '""',
        },
        "columns": [
            {
                "header": "interactionId",
                "name": "interactionId",
                "type": "integer",
                "format": None,
            },
            {
                "header": "eventTime",
                "name": "eventTime",
                "type": "moment",
                "format": "yyyy-MM-dd HH:mm:ss",
            },
        ],
        "offsets": [
            {
                "topic": "deltadrop.shop.email-activity",
                "topic_id": "0e2a5c1e-9df5-4b41-8f3a-6cf1b1e1b001",
                "partition": 0,
                "first": 100,
                "next": 140,
            }
        ],
        "balance": {
            "input": 2,
            "outcomes": {"dead letter": 0, "duplicate": 0, "exported": 2},
        },
        "late_rows": {"2026-03-27": 1, "2026-03-28": 3},
        "warnings": [],
    }


def test_the_manifest_of_an_archive_names_the_file_in_it(tmp_path: Path) -> None:
    told = export("interactionId", compression="zip", inner_name="data_<yyyy>")

    path, manifest = write_drop(tmp_path, told, ROWS)

    assert path.name == "openings_20260329.zip"
    entry = json.loads(manifest.to_json())["file"]
    assert (entry["name"], entry["compression"], entry["inner_name"]) == (
        "openings_20260329.zip",
        "zip",
        "data_2026.csv",
    )
    assert Manifest.from_json(manifest.to_json()) == manifest


@pytest.mark.parametrize(
    ("compression", "inner_name"), [("zip", None), ("none", "a.csv"), ("gzip", "a.csv")]
)
def test_only_the_manifest_of_an_archive_has_an_inner_name(
    tmp_path: Path, compression: str, inner_name: str | None
) -> None:
    _, manifest = write_drop(tmp_path, export("interactionId"), ROWS)
    fields = json.loads(manifest.to_json())
    fields["file"] |= {"compression": compression, "inner_name": inner_name}

    with pytest.raises(CloseError, match="inner_name is there for zip, and only for zip"):
        Manifest.from_json(json.dumps(fields).encode())


def test_the_same_manifest_has_the_same_bytes_and_ends_with_a_line_break(tmp_path: Path) -> None:
    _, one = write_drop(tmp_path, export("interactionId"), ROWS, {date(2026, 1, 2): 1})

    again = Manifest.from_json(one.to_json())

    assert again == one
    assert again.to_json() == one.to_json()
    assert one.to_json().endswith(b"}\n")
    told = [name for name in Manifest.model_fields if name not in {"reason", "released", "lost"}]
    assert list(json.loads(one.to_json())) == told


def test_only_a_revision_has_a_reason(tmp_path: Path) -> None:
    _, first = write_drop(tmp_path, export("interactionId"), ROWS)
    revision = first.model_copy(update={"reason": "erasure of personal data"})

    assert b"reason" not in first.to_json()
    assert Manifest.from_json(revision.to_json()).reason == "erasure of personal data"


def test_only_a_drop_that_was_held_says_why_and_why_it_was_sent(tmp_path: Path) -> None:
    _, first = write_drop(tmp_path, export("interactionId"), ROWS)
    told = Released(held_because=("2 rows, at least 3 are expected",), reason="a holiday")
    released = first.model_copy(update={"released": told})

    assert b"released" not in first.to_json()
    assert Manifest.from_json(released.to_json()).released == told


def test_outcomes_keep_the_order_of_the_spec(tmp_path: Path) -> None:
    order = ["waiting for its campaign", "already downloaded", "exported", "duplicate"]
    _, manifest = write_drop(tmp_path, export("interactionId"), ROWS)
    told = Balance(input=0, outcomes=dict.fromkeys(order, 0))

    written = manifest.model_copy(update={"balance": told}).to_json()

    assert list(json.loads(written)["balance"]["outcomes"]) == order


@pytest.mark.parametrize(
    ("begin", "end", "hours", "remark"),
    [
        (
            "2026-03-28T05:00Z",
            "2026-03-29T04:00Z",
            23,
            "a day of 23 hours: the clocks were changed",
        ),
        (
            "2026-10-24T04:00Z",
            "2026-10-25T05:00Z",
            25,
            "a day of 25 hours: the clocks were changed",
        ),
        ("2026-11-24T05:00Z", "2026-11-25T05:00Z", 24, None),
        ("2026-11-25T05:00Z", "2026-11-25T10:30Z", 5.5, None),
    ],
)
def test_a_day_of_23_or_25_hours_says_so(
    begin: str, end: str, hours: float, remark: str | None
) -> None:
    window = Window.of(
        datetime.fromisoformat(begin), datetime.fromisoformat(end), "Europe/Brussels"
    )

    assert (window.hours, window.remark) == (hours, remark)


@pytest.mark.parametrize(
    ("begin", "end", "hours"),
    [
        ("2026-03-28T21:00Z", "2026-03-29T08:00Z", 11),
        ("2026-10-24T22:00Z", "2026-10-25T21:30Z", 23.5),
        ("2026-03-29T00:30Z", "2026-03-29T01:30Z", 1),
        ("2026-03-27T05:00Z", "2026-03-29T04:00Z", 47),
    ],
)
def test_a_window_cut_by_hand_across_a_change_of_clocks_is_no_day(
    begin: str, end: str, hours: float
) -> None:
    window = Window.of(
        datetime.fromisoformat(begin), datetime.fromisoformat(end), "Europe/Brussels"
    )

    assert (window.hours, window.remark) == (hours, "the clocks were changed in this window")


def test_an_hour_that_the_change_skips_makes_a_day_that_says_so() -> None:
    """02:30 doesn't exist on that day: the close ran at the gap's end, 03:00 local."""
    begin = datetime(2026, 3, 28, 1, 30, tzinfo=UTC)
    end = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)

    window = Window.of(begin, end, "Europe/Brussels")

    assert (window.hours, window.remark) == (23.5, "a day of 23.5 hours: the clocks were changed")


def test_a_balance_that_adds_up_passes() -> None:
    Balance(input=3, outcomes={"duplicate": 1, "exported": 2}).check("openings", exported=2)


def test_a_balance_that_does_not_add_up_is_held() -> None:
    told = Balance(input=10, outcomes={"dead letter": 0, "duplicate": 1, "exported": 8})

    with pytest.raises(HeldError) as held:
        told.check("openings", exported=8)

    assert str(held.value) == (
        "export 'openings': the balance doesn't add up: 10 records came in, 9 are accounted for "
        "(1 duplicate + 8 exported); nothing was delivered; the close can be run again"
    )
    assert held.value.exit_code == 3


def test_a_file_with_other_lines_than_the_balance_counts_is_held() -> None:
    told = Balance(input=3, outcomes={"duplicate": 1, "exported": 2})

    with pytest.raises(HeldError) as held:
        told.check("openings", exported=3)

    assert str(held.value) == (
        "export 'openings': the balance counts 2 exported, the file has 3 lines; "
        "nothing was delivered; the close can be run again"
    )


def test_a_count_in_quotes_is_no_count(tmp_path: Path) -> None:
    path, _ = write_drop(tmp_path, export("interactionId"), ROWS)
    text = path.with_name(path.name + ".manifest.json").read_text()

    with pytest.raises(CloseError) as refused:
        Manifest.from_json(text.replace('"rows": 2', '"rows": "2"').encode(), "a.manifest.json")

    assert str(refused.value) == (
        "a.manifest.json: isn't a manifest: file.rows: Input should be a valid integer"
    )


def test_formats_of_columns_are_told(tmp_path: Path) -> None:
    told = export("profileId", "balance", of="profile", event="UPDATE")
    rows = pa.table({"profileId": [1], "balance": pa.array([None], pa.decimal128(18, 2))})

    _, manifest = write_drop(tmp_path, told, rows)

    assert [(one.header, one.type, one.format) for one in manifest.columns] == [
        ("profileId", "integer", None),
        ("balance", "decimal", "18,2"),
    ]


def test_fields_of_a_later_version_are_passed_over(tmp_path: Path) -> None:
    _, manifest = write_drop(tmp_path, export("interactionId"), ROWS)
    later = json.loads(manifest.to_json()) | {"signature": "x"}

    assert Manifest.from_json(json.dumps(later).encode()) == manifest


def test_what_is_no_manifest_says_so() -> None:
    with pytest.raises(CloseError) as refused:
        Manifest.from_json(b'{"format": 2}', "a.csv.manifest.json")

    assert str(refused.value) == "a.csv.manifest.json: isn't a manifest: format: Input should be 1"


def test_an_export_is_told_by_what_makes_it_one() -> None:
    assert set(ExportEntry.model_fields) >= {"name", "database", "table", "type", "event"}
