"""The commands `schemas show|export|register`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from producers.topic_schemas import register_schemas, topic_schemas, write_schemas
from schemas.printing import say_report, say_text
from schemas.settings.settings import load_settings

__all__ = ["schemas"]

_Topics: TypeAlias = Annotated[
    list[str] | None, typer.Argument(metavar="[TOPIC]...", help="Topics; all without.")
]
_Config: TypeAlias = Annotated[Path | None, typer.Option(help="The settings' file.")]
_AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="For scripts.")]

schemas = typer.Typer(
    help="The events' Avro schemas, for publishers in other languages.",
    no_args_is_help=True,
    add_completion=False,
)


@schemas.command()
def show(topics: _Topics = None, config: _Config = None, as_json: _AsJson = False) -> None:
    """Show each topic with its subject, its record and the field of its keys; of chosen topics, the
    Avro schemas.
    """
    found = topic_schemas(load_settings(config), topics or ())
    if topics and not as_json:
        for schema in found.schemas:
            say_text(schema.text.rstrip())
    else:
        say_report(found, as_json=as_json)


@schemas.command()
def export(
    topics: _Topics = None,
    to: Annotated[Path, typer.Option(help="The folder; it is made if it isn't there.")] = Path(),
    config: _Config = None,
    as_json: _AsJson = False,
) -> None:
    """Write the Avro schemas to files, each named `<topic>.avsc`, over those that are there."""
    found = topic_schemas(load_settings(config), topics or ())
    say_report(write_schemas(found, to), as_json=as_json)


@schemas.command()
def register(topics: _Topics = None, config: _Config = None, as_json: _AsJson = False) -> None:
    """Register the Avro schemas in the schema registry, and print their ids. Safe to run again.

    Exits with 2 if a schema can't read what its topic holds; 1 if the registry failed.
    """
    say_report(register_schemas(load_settings(config), topics or ()), as_json=as_json)
