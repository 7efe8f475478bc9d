"""Commands that look at files only: no broker, no registry, nothing is changed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from schemas.definitions.definitions import Faults, read_models
from schemas.errors import DefinitionError
from schemas.settings.settings import Settings, load_settings
from schemas.tables import load_catalog
from schemas.topics import topics_of
from sinks.commands.options import AsJson, Config
from sinks.commands.unsent import unsent
from sinks.drops.verify import verify as verify_drop
from sinks.exports.definition import ExportDefinition
from sinks.exports.export import load_exports
from sinks.locations import load_locations, terms_of
from sinks.wording import counted
from streams.definition import user_streams

__all__ = ["Valid", "validate", "validate_definitions", "verify"]

NOT_AS_TOLD = 1
"""Exit code of `verify` where a drop isn't what its manifest says."""


@dataclass(frozen=True, slots=True)
class Valid:
    """What the definitions hold, all of them right."""

    databases: tuple[str, ...]
    tables: tuple[str, ...]
    exports: tuple[str, ...]
    streams: tuple[str, ...]  # beside the built-in ones
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        """For people."""
        return (
            f"all is well: {counted(len(self.databases), 'database')}, "
            f"{counted(len(self.tables), 'custom table')}, "
            f"{counted(len(self.exports), 'export')} ({', '.join(self.exports) or 'none'})"
            + (f", {counted(len(self.streams), 'further stream')}" if self.streams else "")
        )


def validate_definitions(settings: Settings) -> Valid:
    """Read all definitions; raises DefinitionError with every fault of every file.

    Whether exports fit the tables and locations is told once these are right.
    """
    faults = Faults()
    terms = faults.told_by(lambda: terms_of(load_locations(settings)))
    catalog = faults.told_by(lambda: load_catalog(settings.tables))
    if terms is None or catalog is None:
        read_models(settings.exports, {"export": ExportDefinition}, faults)
        raise DefinitionError(faults.found)
    topics = topics_of(catalog, settings.kafka.topic_prefix)
    streams = faults.told_by(lambda: user_streams(settings.streams, topics))
    exports = faults.told_by(lambda: load_exports(settings.exports, catalog, terms))
    if streams is None or exports is None:
        raise DefinitionError(faults.found)
    warning = unsent(settings, exports)
    return Valid(
        databases=tuple(sorted(catalog.databases)),
        tables=tuple(sorted(f"{database}.{table}" for database, table in catalog.tables)),
        exports=tuple(export.name for export in exports),
        streams=tuple(stream.name for found in streams.values() for stream in found),
        warnings=(str(warning),) if warning else (),
    )


def verify(
    file: Annotated[Path, typer.Argument(help="A drop, or the manifest beside it.")],
    as_json: AsJson = False,
) -> None:
    """Check a drop against its manifest: hash, size, header, columns, rows, dialect.

    Exits with 0 if all is well, 1 if not, with a line for each finding.
    """
    verification = verify_drop(file)
    typer.echo(verification.to_json() if as_json else str(verification))
    if not verification.is_well:
        raise typer.Exit(NOT_AS_TOLD)


def validate(
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Check the settings and all definitions of tables, streams and exports.

    Exits with 0 if all is well, 2 if not, with a line for each fault.
    """
    try:
        valid = validate_definitions(load_settings(config))
    except DefinitionError as error:
        if not as_json:
            raise
        typer.echo(json.dumps({"valid": False, "faults": [asdict(f) for f in error.faults]}))
        raise typer.Exit(error.exit_code) from error
    if as_json:
        typer.echo(json.dumps({"valid": True, **asdict(valid)}))
        return
    for warning in valid.warnings:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(str(valid))
