"""What goes into a drop (SPEC §3), as Ibis expressions over tables of records and state; a rule a
module.

A close asks for the repeats of each topic it reads, for the states (both `sinks.state`), then for
the drop of its export: of facts or of rows. Nothing here knows where tables come from.
"""

from sinks.rules.facts import FactDrop, FactRule, Facts, drop_of_facts
from sinks.rules.firsts import judge_clicks, judge_firsts
from sinks.rules.lines import members_of
from sinks.rules.outcome import Outcome, balance
from sinks.rules.rows import RowDrop, RowFacts, RowRule, drop_of_rows, initial_drop

__all__ = [
    "FactDrop",
    "FactRule",
    "Facts",
    "Outcome",
    "RowDrop",
    "RowFacts",
    "RowRule",
    "balance",
    "drop_of_facts",
    "drop_of_rows",
    "initial_drop",
    "judge_clicks",
    "judge_firsts",
    "members_of",
]
