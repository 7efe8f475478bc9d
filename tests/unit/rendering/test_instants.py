"""Close instants: the same local hour every day, right across clock changes (SPEC §4)."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.instants import close_instant, day_before, due_instants, parse_stamp, stamp

BRUSSELS = ZoneInfo("Europe/Brussels")
SIX = dt.time(6)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def test_the_same_local_hour_moves_in_utc_with_the_clock_change() -> None:
    assert close_instant(dt.date(2026, 3, 28), SIX, BRUSSELS) == utc("2026-03-28T05:00")
    assert close_instant(dt.date(2026, 3, 29), SIX, BRUSSELS) == utc("2026-03-29T04:00")


def test_an_hour_that_a_clock_change_skips_runs_at_the_gaps_end() -> None:
    assert close_instant(dt.date(2026, 3, 29), dt.time(2, 30), BRUSSELS) == utc("2026-03-29T01:00")


def test_an_hour_that_comes_twice_runs_at_its_first() -> None:
    assert close_instant(dt.date(2026, 10, 25), dt.time(2, 30), BRUSSELS) == utc("2026-10-25T00:30")


def test_due_instants_are_each_day_once_oldest_first() -> None:
    due = list(due_instants(utc("2026-03-27T05:00"), utc("2026-03-30T03:59"), SIX, BRUSSELS))

    assert due == [utc("2026-03-28T05:00"), utc("2026-03-29T04:00")]


def test_the_first_window_starts_at_the_same_local_hour_the_day_before() -> None:
    assert day_before(utc("2026-03-29T04:00"), SIX, BRUSSELS) == utc("2026-03-28T05:00")


def test_a_window_cut_by_hand_starts_a_day_before_its_own_hour() -> None:
    assert day_before(utc("2026-06-02T10:15"), SIX, BRUSSELS) == utc("2026-06-01T10:15")


@pytest.mark.parametrize("zone", ["Europe/Brussels", "America/New_York", "Australia/Lord_Howe"])
def test_a_year_has_one_instant_a_day_whatever_the_zone(zone: str) -> None:
    due = list(
        due_instants(
            utc("2026-01-01T00:00"),
            utc("2027-01-01T00:00"),
            dt.time(2, 15),
            ZoneInfo(zone),
        )
    )

    days = [instant.astimezone(ZoneInfo(zone)).date() for instant in due]
    assert len(days) == len(set(days))
    assert 364 <= len(days) <= 366


@given(st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2200, 1, 1), timezones=st.just(dt.UTC)))
def test_a_stamp_names_an_instant_to_the_millisecond(instant: dt.datetime) -> None:
    whole = instant.replace(microsecond=instant.microsecond // 1000 * 1000)

    assert parse_stamp(stamp(instant)) == whole
