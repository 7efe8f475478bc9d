"""What a close delivers, and what became of every record (SPEC §3, *Balance*)."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tests.model.exports import Export
from tests.model.history import Recorded
from tests.model.outcomes import OUTCOMES
from tests.model.values import Line, csv_text, line_of


@dataclass(frozen=True)
class Drop:
    """What one close should deliver.

    lines: values as text before quoting, None where the field is empty; facts: the exported record
    behind each line; balance: outcome → records, with every outcome of SPEC; warnings: what the
    report should mention.
    """

    header: list[str]
    lines: list[list[str | None]]
    facts: list[Recorded]
    outcomes: list[tuple[Recorded, str]]
    warnings: Counter[str]
    separator: str = ","

    @property
    def balance(self) -> dict[str, int]:
        counted = Counter(outcome for _, outcome in self.outcomes)
        return {outcome: counted[outcome] for outcome in OUTCOMES}

    def text(self) -> str:
        return csv_text(self.header, self.lines, self.separator)


def drop_of(
    export: Export,
    lines: Iterable[Line],
    outcomes: list[tuple[Recorded, str]],
    warnings: Counter[str],
) -> Drop:
    lines = list(lines)
    return Drop(
        header=export.header,
        lines=[line_of(export, line) for line in lines],
        facts=[line.fact for line in lines],
        outcomes=outcomes,
        warnings=+warnings,
        separator=export.formats.separator,
    )
