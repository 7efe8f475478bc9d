"""The coverage records of one partition that a close chose, as its intent records them."""

from __future__ import annotations

from dataclasses import dataclass

from streams.storage.coverage import Tiling
from streams.storage.layout import TopicPartition

__all__ = ["Choice"]


@dataclass(frozen=True, slots=True)
class Choice:
    """The choice of one partition: the tiling of all that the close reads of it."""

    partition: TopicPartition
    tiling: Tiling
