"""What goes into a drop (SPEC §3), as Ibis expressions over tables of records and state; a rule a
module.

A close asks for the repeats of each topic it reads, for the states (both `sinks.state`), then for
the drop of its export. Nothing here knows where tables come from.
"""

from sinks.rules.activities import (
    EMAIL_RULES,
    ActivityDrop,
    ActivityFacts,
    ActivityRule,
    drop_of_activities,
)
from sinks.rules.outcome import Outcome, balance
from sinks.rules.rows import ROW_RULES, RowDrop, RowFacts, drop_of_rows

__all__ = [
    "EMAIL_RULES",
    "ROW_RULES",
    "ActivityDrop",
    "ActivityFacts",
    "ActivityRule",
    "Outcome",
    "RowDrop",
    "RowFacts",
    "balance",
    "drop_of_activities",
    "drop_of_rows",
]
