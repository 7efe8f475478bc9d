"""The first lines of a drop as text, for people who check it before it is sent."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

import pyarrow as pa

from sinks.rendering.compress import Compression
from sinks.rendering.layout import Layout, Rendered
from sinks.rendering.render import render

__all__ = ["LINES", "excerpt"]

LINES: Final = 10
"""Lines of an excerpt, without the header."""


def excerpt(lines: Iterable[pa.RecordBatch], layout: Layout) -> tuple[str, Rendered]:
    """The header and the first lines of a drop as text, and the result of rendering them."""
    out = io.BytesIO()
    rendered = render(list(_first(lines)), replace(layout, compression=Compression.NONE), out)
    return out.getvalue().decode(), rendered


def _first(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    left = LINES
    for batch in batches:
        yield batch.slice(0, left)
        left -= min(left, batch.num_rows)
        if not left:
            return
