"""The command `take-out`."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from schemas.errors import Fault, WrongInputError
from schemas.printing import say_json, say_text
from schemas.settings.settings import load_settings
from sinks.commands.options import AsJson, Config
from sinks.commands.release import read_reason
from sinks.service.unreadable import TakeOutRequest, take_out_rows
from streams.setup import Streams

__all__ = ["take_out"]

NOT_ALL: Final = 3
"""Exit code if a file of the partition can't be read at all."""


def take_out(
    topic: Annotated[str, typer.Argument(help="The topic, as the message names it.")],
    partition: Annotated[int, typer.Argument(help="Its partition.")],
    offsets: Annotated[
        list[int] | None, typer.Argument(metavar="[OFFSET]...", help="The rows' offsets.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why; it is kept, and told by trace.")] = None,
    all_unreadable: Annotated[
        bool,
        typer.Option("--all-unreadable", help="All of the partition that can't be read."),
    ] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take out stored rows that can't be read, so that closes go on without them; record why.

    They count as dead letters in every drop of which nothing was delivered yet; recorded drops
    stay. Rows that can be read are refused. Safe to run again. Exits with 0 if they are taken out,
    2 if one is refused, and then nothing is done; 3 if a file can't be read at all. With
    --all-unreadable such files are read again from Kafka, while it has their events.
    """
    why = read_reason(reason or "", purpose="`deltadrop trace` tells it")
    usage = "take-out TOPIC PARTITION OFFSET --reason TEXT, or --all-unreadable in OFFSET's place"
    if bool(offsets) == all_unreadable:
        what = "and --all-unreadable are both given" if offsets else "is missing"
        raise WrongInputError([Fault("OFFSET", what, usage)])
    streams = Streams.of(load_settings(config))
    done = take_out_rows(streams, TakeOutRequest(topic, partition, offsets or None, why))
    if as_json:
        say_json(done.to_json(), indent=2)
    else:
        say_text(done)
    if done.left:
        raise typer.Exit(NOT_ALL)
