"""The drops of an export's successive closes."""

from collections.abc import Sequence

from tests.model.closes import Close
from tests.model.drop import Drop
from tests.model.drops_of_activities import activity_drops
from tests.model.drops_of_changes import change_drops
from tests.model.drops_of_rows import row_drops
from tests.model.exports import Export
from tests.model.history import Cut, History
from tests.model.types import CHANGE


def drops_of(
    history: History,
    export: Export,
    start: Cut,
    closes: Sequence[Close],
    initial: bool = False,
) -> list[Drop]:
    """The export's drops. start: the cut that the first window begins at; initial: the first close
    holds every row.
    """
    if export.is_of_rows:
        return list(row_drops(history, export, start, closes, initial))
    if export.declared.of == CHANGE:
        return list(change_drops(history, export, start, closes))
    return list(activity_drops(history, export, start, closes))
