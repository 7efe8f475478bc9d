"""What every drop should hold, read from the published events in the simplest way.

A second, independent reading of SPEC §3: plain Python over plain dictionaries. It imports nothing
of the product, so that a misunderstanding there is not repeated here; it rebuilds everything from
the first event at every cut, so that no state of its own can go stale. Read it beside SPEC §3: a
module is a paragraph of it.

    history = History(records)                    # everything that the topics hold
    drops = drops_of(history, export, start, closes)   # one Drop for each close, in order
    drops[0].balance, drops[0].lines, drops[0].text()
"""

from tests.model.closes import Close
from tests.model.definition import export_of
from tests.model.drop import Drop
from tests.model.drops import drops_of
from tests.model.exports import Export
from tests.model.history import Cut, History, Recorded, topic_name
from tests.model.tables import Attribute, Database, Table

__all__ = [
    "Attribute",
    "Close",
    "Cut",
    "Database",
    "Drop",
    "Export",
    "History",
    "Recorded",
    "Table",
    "drops_of",
    "export_of",
    "topic_name",
]
