"""File names tell days and exports apart (SPEC §7)."""

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.rendering.compress import Compression
from sinks.rendering.names import FileName, NamePattern, PatternError

STEMS = st.from_regex(r"[A-Za-z0-9._+=@~-]{1,40}", fullmatch=True)


@given(STEMS, st.integers(0, 99), st.sampled_from(Compression))
def test_a_file_name_reads_back_as_it_was_written(
    stem: str, revision: int, compression: Compression
) -> None:
    try:
        name = FileName(stem, revision, compression)
    except PatternError:
        return

    assert FileName.parse(str(name)) == name
    assert name.manifest == f"{name}.manifest.json"


@pytest.mark.parametrize("name", ["openings", ".csv", "openings.zip.part", "openings.csv.gz.part"])
def test_other_files_are_not_drops(name: str) -> None:
    with pytest.raises(ValueError, match=r"isn't the name of a drop"):
        FileName.parse(name)


@pytest.mark.parametrize(
    ("compression", "name"),
    [("none", "openings-r2.csv"), ("gzip", "openings-r2.csv.gz"), ("zip", "openings-r2.zip")],
)
def test_a_revision_is_told_before_the_ending(compression: str, name: str) -> None:
    assert str(FileName("openings", 2, Compression(compression))) == name
    assert FileName("openings", 2, Compression(compression)).manifest == f"{name}.manifest.json"


def test_dates_are_written_in_four_and_two_digits() -> None:
    pattern = NamePattern.of_dates("_yyyyMMdd-HH.mm.ss'T'")

    assert pattern.at(datetime(987, 6, 5, 4, 3, 2)) == "_09870605-04.03.02T"


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("<name><suffix>", "a_20261125"),
        ("<entity>-<name>-<yyyy-MM-dd>", "m-a-2026-11-25"),
        ("daily<suffix>", "daily_20261125"),
    ],
)
def test_a_file_name_is_put_together_from_its_placeholders(file: str, name: str) -> None:
    named = {
        "name": NamePattern.of_text("a"),
        "entity": NamePattern.of_text("m"),
        "suffix": NamePattern.of_dates("_yyyyMMdd"),
    }

    assert NamePattern.of_file(file, named).at(datetime(2026, 11, 25)) == name


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("<nam>", "<nam> is neither one of <name> nor a date pattern such as <yyyyMMdd>"),
        ("<name", "'<name': a '<' or '>' without its partner"),
        ("a/<name>", "'/' can't be in a file name here; letters, digits and . _ + = @ ~ - can"),
    ],
)
def test_a_wrong_placeholder_is_refused(file: str, message: str) -> None:
    with pytest.raises(PatternError) as refused:
        NamePattern.of_file(file, {"name": NamePattern.of_text("a")})

    assert str(refused.value) == message


@given(
    st.sampled_from(["yyyyMMdd", "dd.MM.yyyy", "HHddMMyyyy", "yyyyMM", "ddMM", "yyyyHH"]),
    st.dates(),
    st.integers(1, 800),
)
def test_a_pattern_that_tells_days_apart_does(pattern: str, day: date, later: int) -> None:
    if later > (date.max - day).days or not NamePattern.of_dates(pattern).names_each_day:
        return
    first = datetime(day.year, day.month, day.day)

    names = {NamePattern.of_dates(pattern).at(first + timedelta(days=d)) for d in (0, later)}

    assert len(names) == 2


@given(st.sampled_from(["a", "a_", "a_2026", "A"]), st.sampled_from(["_yyyyMMdd", "yyyyMMdd"]))
def test_patterns_that_could_give_one_name_are_told(name: str, suffix: str) -> None:
    def pattern(name: str, suffix: str) -> NamePattern:
        named = {"name": NamePattern.of_text(name), "suffix": NamePattern.of_dates(suffix)}
        return NamePattern.of_file("<name><suffix>", named)

    ours, theirs = pattern("a", "_yyyyMMdd"), pattern(name, suffix)
    days = [datetime(2026, 11, 25), datetime(1125, 12, 26)]

    same = {ours.at(day).lower() for day in days} & {theirs.at(day).lower() for day in days}

    assert ours.could_equal(theirs) == theirs.could_equal(ours)
    assert not same or ours.could_equal(theirs)
    assert ours.could_equal(theirs) == (
        (name.lower(), suffix) in [("a", "_yyyyMMdd"), ("a_", "yyyyMMdd")]
    )
