"""Every local day of every zone has its one close, whatever its clocks do (SPEC §4)."""

import datetime as dt
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from sinks.drops.manifest import Window
from sinks.instants import close_instant, day_before, due_instants
from sinks.rendering.zones import zone, zone_names

MINUTE = dt.timedelta(minutes=1)
DAY = dt.timedelta(days=1)

zones = st.sampled_from(sorted(zone_names())).map(zone)
days = st.dates(dt.date(1990, 1, 1), dt.date(2060, 1, 1))
hours = st.times().map(lambda time: time.replace(second=0, microsecond=0, fold=0))


def local(instant: dt.datetime, where: ZoneInfo) -> dt.datetime:
    return instant.astimezone(where).replace(tzinfo=None)


@given(days, hours, zones)
@example(dt.date(2026, 3, 29), dt.time(2, 30), zone("Europe/Brussels"))
@example(dt.date(2026, 10, 25), dt.time(2, 30), zone("Europe/Brussels"))
@example(dt.date(2026, 4, 5), dt.time(1, 45), zone("Australia/Lord_Howe"))  # half an hour twice
@example(dt.date(2011, 12, 30), dt.time(6), zone("Pacific/Apia"))  # no such day
def test_a_close_is_the_first_moment_at_which_the_local_clock_is_at_its_hour_or_past_it(
    day: dt.date, at: dt.time, where: ZoneInfo
) -> None:
    instant = close_instant(day, at, where)
    wanted = dt.datetime.combine(day, at)

    assert local(instant, where) >= wanted
    assert local(instant - dt.timedelta(microseconds=1), where) < wanted
    # ... and no earlier moment of that day was: the first of two.
    assert all(local(instant - minutes * MINUTE, where) < wanted for minutes in range(1, 181))


@given(days, hours, zones, st.integers(1, 40))
@example(dt.date(2011, 12, 28), dt.time(0), zone("Pacific/Apia"), 5)
def test_windows_follow_each_other_without_gap_or_overlap(
    day: dt.date, at: dt.time, where: ZoneInfo, count: int
) -> None:
    first, last = close_instant(day, at, where), close_instant(day + count * DAY, at, where)

    due = list(due_instants(first, last, at, where))

    assert due == sorted(set(due))
    assert due[-1] == last
    assert set(due) == {close_instant(day + n * DAY, at, where) for n in range(1, count + 1)}
    # From wherever one starts to look, the same instants are due: nothing depends on when it runs.
    middle = first + (last - first) / 3
    assert due == [
        *due_instants(first, middle, at, where),
        *due_instants(middle, last, at, where),
    ]


@given(days, hours, zones)
def test_the_first_window_of_an_export_begins_where_the_day_befores_would_have_ended(
    day: dt.date, at: dt.time, where: ZoneInfo
) -> None:
    instant, before = close_instant(day, at, where), close_instant(day - DAY, at, where)
    if local(instant, where) == dt.datetime.combine(day, at):
        assert day_before(instant, at, where) == before


@given(st.integers(1990, 2060), hours)
def test_a_day_of_23_or_25_hours_says_so(year: int, at: dt.time) -> None:
    """Brussels changes its clocks by an hour, twice a year."""
    where = zone("Europe/Brussels")
    instants = list(
        due_instants(
            dt.datetime(year, 1, 1, tzinfo=dt.UTC),
            dt.datetime(year, 12, 31, tzinfo=dt.UTC),
            at,
            where,
        )
    )
    windows = [Window.of(begin, end, "Europe/Brussels") for begin, end in pairwise(instants)]
    changed = [window for window in windows if window.remark]

    assert [window for window in windows if window.hours != 24] == changed
    assert [window.remark for window in changed] == [
        f"a day of {window.hours:g} hours: the clocks were changed" for window in changed
    ]
    if at.hour != 2:  # else the hour itself is skipped, and closes at the gap's end
        assert [window.hours for window in changed] == [23, 25]
