"""Where a window ends (SPEC §3, *Readings settled*; DESIGN, "Closing a window")."""

from collections.abc import Sequence

from tests.model.history import HOUR


def cut_of(appended_at: Sequence[int], instant: int, tolerance: int = HOUR) -> int:
    """The offset that a partition is cut at: the first record at or after an instant, all in UTC
    milliseconds, that isn't stamped more than an hour later than a record behind it.
    """
    for offset, time in enumerate(appended_at):
        if time >= instant and all(later >= time - tolerance for later in appended_at[offset:]):
            return offset
    return len(appended_at)
