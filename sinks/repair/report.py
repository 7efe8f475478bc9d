"""The report of an `erase` or `sweep` pass, as JSON for scripts and as lines for people."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from schemas.json_result import JsonResult
from schemas.one_line import joined

__all__ = ["RepairReport"]


@dataclass(slots=True)
class RepairReport(JsonResult, ABC):
    """A report of a pass: its fields are for scripts, its lines for people."""

    def __str__(self) -> str:
        """For people."""
        return joined(self.lines())

    @abstractmethod
    def lines(self) -> Iterator[str]:
        """Yield the lines for people."""
