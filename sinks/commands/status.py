"""Commands that look at closes: what is due, and what was closed. They change nothing."""

from __future__ import annotations

import datetime as dt
import json
from typing import Annotated

import typer

from schemas.errors import LedgerError
from schemas.settings.settings import load_settings
from sinks.commands.chosen import chosen_exports, refuse_unknown
from sinks.commands.lines import history_fields, history_lines
from sinks.commands.options import AsJson, Config
from sinks.installation import Installation
from sinks.ledger.ledger import Ledger

__all__ = ["history", "status"]


def history(
    export: Annotated[str | None, typer.Argument(help="One export; all without.")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show what was closed, newest last: window, file, rows, holds, releases and revisions.

    Exports that aren't defined any more are shown, too.
    """
    installation = Installation.of(load_settings(config))
    unreadable: list[LedgerError] = []
    for one in _in_history(installation, export):
        for instant in installation.ledger.closes(one):
            try:
                _tell_close(installation.ledger, one, instant, as_json)
            except LedgerError as error:
                unreadable.append(error)
                typer.echo(error, err=True)
    if unreadable:
        raise typer.Exit(LedgerError.exit_code)


def _in_history(installation: Installation, export: str | None) -> list[str]:
    """The exports to show: those that are defined, then those of the ledger that no longer are."""
    if export is not None:
        refuse_unknown(installation, export)
        return [export]
    defined = {one.name for one in installation.exports}
    former = [one for one in installation.ledger.exports() if one not in defined]
    exports = installation.exports if former else chosen_exports(installation, [])
    return [*(one.name for one in exports), *former]


def _tell_close(ledger: Ledger, export: str, instant: dt.datetime, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(history_fields(ledger, export, instant)))
        return
    for line in history_lines(ledger, export, instant):
        typer.echo(line)


def status(
    config: Config = None,
    as_json: AsJson = False,
    partitions: Annotated[bool, typer.Option("--partitions", help="List all partitions.")] = False,
) -> None:
    """Show what is due, what it waits for or what holds it, and what settles that.

    Exits with 1 if Kafka couldn't be asked: what the ledger knows is shown all the same.
    """
    from sinks.night.status import status_of  # reports and metrics, which `history` doesn't need
    from sinks.night.status_text import at_a_glance

    now = dt.datetime.now(dt.UTC)
    told = status_of(Installation.of(load_settings(config)), now)
    typer.echo(told.to_json() if as_json else at_a_glance(told, now, all_partitions=partitions))
    if told.unasked:
        raise typer.Exit(1)
