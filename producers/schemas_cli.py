"""The commands `schemas show|export|register`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from producers.topic_schemas import register_schemas, topic_schemas, write_schemas
from schemas.json_result import JsonResult
from schemas.printing import say_json, say_text
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
    if as_json:
        say_json(found.to_json(), indent=2)
    elif topics:
        for schema in found.schemas:
            say_text(schema.text.rstrip())
    else:
        say_text(found)


@schemas.command()
def export(
    topics: _Topics = None,
    to: Annotated[Path, typer.Option(help="The folder; it is made if it isn't there.")] = Path(),
    config: _Config = None,
    as_json: _AsJson = False,
) -> None:
    """Write the Avro schemas to files, each named `<topic>.avsc`, over those that are there."""
    _print(write_schemas(topic_schemas(load_settings(config), topics or ()), to), as_json)


@schemas.command()
def register(topics: _Topics = None, config: _Config = None, as_json: _AsJson = False) -> None:
    """Register the Avro schemas in the schema registry, and print their ids. Safe to run again.

    Exits with 2 if a schema can't read what its topic holds; 1 if the registry failed.
    """
    _print(register_schemas(load_settings(config), topics or ()), as_json)


def _print(result: JsonResult, as_json: bool) -> None:
    if as_json:
        say_json(result.to_json(), indent=2)
    else:
        say_text(result)
