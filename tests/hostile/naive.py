"""What a message says by the plainest reading: the specification of Avro, SPEC §6 and §8."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from tests.hostile.regular import kind_of
from tests.hostile.site import declared, own_schema
from tests.model.contract import contracted
from tests.model.reading import UnreadableError, read

__all__ = ["naive_event"]


def naive_event(
    topic: str,
    key: bytes | None,
    value: bytes | None,
    schema_of: Callable[[int], Any],
) -> Mapping[str, Any] | None:
    """The event as SPEC §8 writes it; None where it is poison.

    topic: its name without the prefix. schema_of: the writer's schema of an id, None if it has none
    that is Avro.
    """
    if key is None or value is None or len(value) < 5 or value[0] != 0:
        return None
    (schema_id,) = struct.unpack(">I", value[1:5])
    schema = schema_of(schema_id)
    if schema is None:
        return None
    try:
        event = read(schema, own_schema(topic), value[5:])
    except UnreadableError:
        return None
    event = {"kind": kind_of(topic), **event}
    return contracted(topic, event, declared(topic.partition(".")[0]))
