"""A range of offsets between two cuts."""

from __future__ import annotations

from dataclasses import dataclass

from streams.storage.layout import TopicPartition

__all__ = ["Span"]


@dataclass(frozen=True, slots=True)
class Span:
    """The offsets `[first, next)` of a partition between two cuts."""

    partition: TopicPartition
    first: int
    next: int
