"""State at a cut = base + rows since (DESIGN, *Closing a window*): what earlier events leave behind
for a close.

A base is the state at some cut, kept as tables; a fold takes the records since on top of it, and
gives the state at a later cut in the same columns. Folding from nothing over all records gives the
same. Records since a base always count as appended after it. Repeats change nothing: every fold is
told of them (`repeats`).
"""

from sinks.state.campaigns import fold_campaigns
from sinks.state.downloads import fold_downloads
from sinks.state.firsts import FIRSTS_DAYS, Firsts, fold_firsts
from sinks.state.lives import fold_rows
from sinks.state.order import POSITION
from sinks.state.repeats import REPEAT_HOURS, repeats

__all__ = [
    "FIRSTS_DAYS",
    "POSITION",
    "REPEAT_HOURS",
    "Firsts",
    "fold_campaigns",
    "fold_downloads",
    "fold_firsts",
    "fold_rows",
    "repeats",
]
