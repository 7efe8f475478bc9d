"""Commands for authors of exports: summary, preview, and JSON Schemas for editors."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.one_line import one_line
from schemas.printing import say, say_csv, say_json, say_text
from schemas.settings.settings import Settings, load_settings
from schemas.tables import Catalog, load_catalog
from sinks.authoring.json_schema import json_schemas, written
from sinks.authoring.summary import Summary, SummarySection
from sinks.commands.options import AsJson, Config
from sinks.locations import load_locations
from sinks.service.exports import preview_export, summarize_export

__all__ = [
    "SCHEMA_FOLDER",
    "AsJson",
    "Config",
    "json_schema",
    "preview",
    "show",
    "summary",
    "write_schemas",
]

SCHEMA_FOLDER: Final = ".schema"
"""Subfolder of a folder of definitions for their schema, with the installation's tables."""


def summary(
    export: Annotated[str, typer.Argument(help="The export.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show what an export is: general data, target group, data, parameters."""
    found = summarize_export(load_settings(config), export, dt.datetime.now(dt.UTC))
    if as_json:
        say_json(found.to_json(), indent=2)
    else:
        show(found)


def preview(
    export: Annotated[str, typer.Argument(help="The export.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show ten lines of an export as they would come out now; nothing is changed.

    The lines are those of the open window, as far as it is stored. They go to stdout, remarks about
    them to stderr.
    """
    # Imported here: the import takes a second, which other commands needn't spend.
    from sinks.setup import Sinks

    found = preview_export(Sinks.of(load_settings(config)), export, dt.datetime.now(dt.UTC))
    if as_json:
        say_json(found.to_json(), indent=2)
        return
    say_csv(found.text)
    say_text(found.notes, err=True)


def json_schema(
    config: Config = None,
    any_database: Annotated[
        bool, typer.Option("--any-database", help="Know no tables: for any installation.")
    ] = False,
    into: Annotated[
        Path | None, typer.Option(help="One folder for all; without, .schema beside the files.")
    ] = None,
) -> None:
    """Write JSON Schemas of table, stream and export files: editors complete and check by them.

    They contain the databases, tables and columns of the installation: run it again when these
    change. A file's first line names its schema: # yaml-language-server:
    $schema=.schema/export.json
    """
    settings = load_settings(config)
    catalog = None if any_database else load_catalog(settings.tables)
    for path in write_schemas(settings, catalog, into):
        say(path)


def write_schemas(settings: Settings, catalog: Catalog | None, into: Path | None) -> list[Path]:
    """Write the schema of each kind of file into one folder, or beside the existing definitions."""
    beside = {"table": settings.tables, "stream": settings.streams, "export": settings.exports}
    locations = None if catalog is None else load_locations(settings)
    paths = []
    for kind, schema in json_schemas(catalog, locations).items():
        folder = into or beside[kind] / SCHEMA_FOLDER
        if into is None and not beside[kind].is_dir():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{kind}.json"
        path.write_text(written(schema), encoding="utf-8")
        paths.append(path)
    return paths


def show(found: Summary) -> None:
    """Print a summary: with colours and in columns on a terminal, as plain lines elsewhere."""
    if not sys.stdout.isatty():
        say_text(found)
        return
    console = Console(highlight=False)
    for number, section in enumerate(found.sections):
        if number:
            console.print()
        console.print(Text(section.title, style="bold"))
        console.print(_grid(section))


def _grid(section: SummarySection) -> Table:
    grid = Table.grid(padding=(0, 2))
    for place in range(len(section.rows[0])):
        grid.add_column(style="cyan" if place == 0 else None, overflow="fold")
    for row in section.rows:
        # Text, not markup: a header may contain brackets.
        grid.add_row(*(Text(one_line(cell)) for cell in row))
    return grid
