"""Commands that show closes, due and recorded. They change nothing."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from schemas.errors import LedgerError
from schemas.printing import say, say_json, say_text
from schemas.settings.settings import load_settings
from sinks.commands.lines import history_lines
from sinks.commands.options import AsJson, Config
from sinks.installation import Installation
from sinks.service.history import history_of

__all__ = ["history", "status"]


def history(
    export: Annotated[str | None, typer.Argument(help="One export; all without.")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show what was closed, newest last: window, file, rows, holds, releases and revisions.

    Exports that are no longer defined are shown, too.
    """
    installation = Installation.of(load_settings(config))
    unreadable: list[LedgerError] = []

    def report(error: LedgerError) -> None:
        unreadable.append(error)
        say_text(error, err=True)

    for entry in history_of(installation, export, report):
        if as_json:
            say_json(entry.to_json())
        else:
            say(*history_lines(entry))
    if unreadable:
        raise typer.Exit(LedgerError.exit_code)


def status(
    config: Config = None,
    as_json: AsJson = False,
    partitions: Annotated[bool, typer.Option("--partitions", help="List all partitions.")] = False,
) -> None:
    """Show what is due, what it waits for or what holds it, and what settles that.

    Exits with 1 if Kafka can't be reached; what the ledger has is shown in any case.
    """
    # Imported here: `history` needs neither Kafka's client nor reports.
    from sinks.commands.status_text import status_text
    from sinks.service.status import status_of

    now = dt.datetime.now(dt.UTC)
    found = status_of(Installation.of(load_settings(config)), now)
    if as_json:
        say_json(found.to_json(), indent=2)
    else:
        say_text(status_text(found, now, all_partitions=partitions))
    if found.unasked:
        raise typer.Exit(1)
