"""Describe an export, and preview what it would deliver now."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.json_result import JsonResult
from schemas.settings.settings import Settings
from schemas.tables import load_catalog
from sinks.authoring.summary import Summary, summary_of
from sinks.exports.export import load_exports
from sinks.locations import load_locations, terms_of
from sinks.service.choice import defined_export

if TYPE_CHECKING:
    from sinks.authoring.preview import Preview
    from sinks.setup import Sinks

__all__ = ["WrittenExport", "preview_export", "summarize_export"]


@dataclass(frozen=True, slots=True)
class WrittenExport(JsonResult):
    """A definition file that was written."""

    file: str
    """The path of the file."""
    summary: Summary
    """A description of the export."""


def summarize_export(settings: Settings, export: str, now: dt.datetime) -> Summary:
    """Return a description of an export; raises WrongInputError if no export has that name."""
    terms = terms_of(load_locations(settings))
    exports = load_exports(settings.exports, load_catalog(settings.tables), terms)
    return summary_of(defined_export(export, exports), now)


def preview_export(sinks: Sinks, export: str, now: dt.datetime) -> Preview:
    """Return ten lines of an export as a close would write them now; changes nothing.

    Raises WrongInputError if there is no such export, HeldError if stored data can't be read.
    """
    # Imported here, as it takes a second that `summary` doesn't need.
    from sinks.authoring.preview import preview_of

    return preview_of(sinks, defined_export(export, sinks.exports), now)
