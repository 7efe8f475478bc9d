"""Pauses before something is tried again."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from schemas.backoff import Backoff

SECONDS = st.floats(0, 1e6)


def test_each_pause_is_twice_the_one_before_up_to_the_longest() -> None:
    backoff = Backoff(first=2, longest=30)
    assert [backoff.pause(attempt) for attempt in range(1, 7)] == [2, 4, 8, 16, 30, 30]


@given(SECONDS, SECONDS, st.integers(1, 10**9))
def test_no_pause_is_longer_than_the_longest_or_shorter_than_the_one_before(
    first: float, longest: float, attempt: int
) -> None:
    backoff = Backoff(first, longest)
    pause = backoff.pause(attempt)
    assert math.isfinite(pause)
    assert min(first, longest) <= pause <= longest
    assert pause <= backoff.pause(attempt + 1)
