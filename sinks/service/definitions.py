"""Check the settings and all definitions."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.definitions.definitions import Faults, read_models
from schemas.errors import DefinitionError, Fault
from schemas.json_result import JsonResult
from schemas.settings.settings import Settings
from schemas.tables import load_catalog
from schemas.topics import topics_of
from sinks.exports.definition import ExportDefinition
from sinks.exports.export import Export, load_exports
from sinks.exports.withheld import withheld_columns
from sinks.locations import load_locations, terms_of
from sinks.service.exposure import empty_secrets, exposures
from sinks.service.recipients import recipients_without_mail
from sinks.wording import counted
from streams.definition import user_streams

__all__ = ["Invalid", "Valid", "validate_definitions"]


@dataclass(frozen=True, slots=True)
class Valid(JsonResult):
    """The names of all definitions, which are all right."""

    databases: tuple[str, ...]
    """The names of the databases."""
    tables: tuple[str, ...]
    """The names of the custom tables, with their databases."""
    exports: tuple[str, ...]
    """The names of the exports."""
    streams: tuple[str, ...]
    """The names of the users' streams, beside the built-in ones."""
    warnings: tuple[str, ...] = ()
    """Faults that stop nothing."""

    JSON_PROPERTIES = (("valid", "is_valid"),)

    @property
    def is_valid(self) -> bool:
        """Whether all definitions are right: true."""
        return True

    def __str__(self) -> str:
        """For people."""
        return (
            f"all is well: {counted(len(self.databases), 'database')}, "
            f"{counted(len(self.tables), 'custom table')}, "
            f"{counted(len(self.exports), 'export')} ({', '.join(self.exports) or 'none'})"
            + (f", {counted(len(self.streams), 'further stream')}" if self.streams else "")
        )


@dataclass(frozen=True, slots=True)
class Invalid(JsonResult):
    """Settings or definitions that are wrong."""

    faults: tuple[Fault, ...]
    """All faults that were found."""

    JSON_PROPERTIES = (("valid", "is_valid"),)

    @property
    def is_valid(self) -> bool:
        """Whether all definitions are right: false."""
        return False


def validate_definitions(settings: Settings) -> Valid:
    """Read all definitions; raises DefinitionError with every fault of every file.

    Whether exports fit tables and locations is checked only once the tables and locations are
    right.
    """
    faults = Faults()
    locations = faults.collect(lambda: load_locations(settings))
    catalog = faults.collect(lambda: load_catalog(settings.tables))
    faults.found.extend(empty_secrets(settings, locations or {}))
    if locations is None or catalog is None:
        read_models(settings.exports, {"export": ExportDefinition}, faults)
        raise DefinitionError(faults.found)
    topics = topics_of(catalog, settings.kafka.topic_prefix)
    streams = faults.collect(lambda: user_streams(settings.streams, topics))
    exports = faults.collect(lambda: load_exports(settings.exports, catalog, terms_of(locations)))
    if streams is None or exports is None:
        raise DefinitionError(faults.found)
    faults.raise_if_any()
    warnings = [str(recipients_without_mail(settings, exports) or ""), settings.warning_of_root]
    warnings += [str(warning) for warning in exposures(settings, locations)]
    warnings += [str(warning) for export in exports for warning in withheld_columns(export)]
    warnings += [str(_of_headers(export)) for export in exports if export.formula_headers]
    return Valid(
        databases=tuple(sorted(catalog.databases)),
        tables=tuple(sorted(f"{database}.{table}" for database, table in catalog.tables)),
        exports=tuple(export.name for export in exports),
        streams=tuple(stream.name for found in streams.values() for stream in found),
        warnings=tuple(filter(None, warnings)),
    )


def _of_headers(export: Export) -> Fault:
    headers = ", ".join(f"'{header}'" for header in export.formula_headers)
    what = f"a spreadsheet takes the header for a formula: {headers}"
    return Fault(f"export '{export.name}'", what, "choose another `header` for its column")
