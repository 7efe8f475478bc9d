"""Commands that show closes, due and recorded. They change nothing."""

from __future__ import annotations

import datetime as dt
import sys
from typing import Annotated, Final

import typer

from schemas.errors import CloseError, Fault, HeldError, LedgerError, WrongInputError
from schemas.printing import say, say_json, say_result, say_text
from schemas.settings.settings import Settings, load_settings
from schemas.terminal import ProgressLine
from sinks.commands.lines import close_line, history_lines
from sinks.commands.options import AsJson, Config, read_instant
from sinks.installation import Installation
from sinks.instants import stamp
from sinks.service.history import history_of

__all__ = ["TIMED_OUT", "history", "status"]

TIMED_OUT: Final = 4
"""Exit code of `status --wait` if the time was over before anything came of the window."""


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
    wait: Annotated[
        str | None, typer.Option(metavar="EXPORT", help="Wait until its drop is delivered.")
    ] = None,
    close: Annotated[
        str | None,
        typer.Option(help="With --wait: the end of the window; without, the last that has passed."),
    ] = None,
    timeout: Annotated[float, typer.Option(help="With --wait: the most seconds.", min=0)] = 3600,
) -> None:
    """Show what is due, what it waits for or what holds it, and what settles that.

    Exits with 1 if Kafka can't be reached; what the ledger has is shown in any case. With --wait:
    0 if the drop is delivered, 1 if its close failed, 3 if it is held, 4 if the time is over.
    """
    if wait is not None:
        _wait(load_settings(config), wait, close, timeout, as_json)
        return
    if close is not None:
        raise WrongInputError([Fault("--close", "is for --wait only", "add --wait EXPORT")])
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


def _wait(
    settings: Settings, export: str, close: str | None, timeout: float, as_json: bool
) -> None:
    """Wait for a drop, and exit with what came of it."""
    from sinks.service.wait_for_drop import WaitRequest, WaitState, wait_for_drop

    progress = ProgressLine(sys.stderr)

    def show(instant: dt.datetime, seconds: float) -> None:
        progress.show(f"waiting for {export} at {stamp(instant)}: {seconds:.0f} s of {timeout:.0f}")

    request = WaitRequest(export, None if close is None else read_instant(close), timeout)
    try:
        found = wait_for_drop(Installation.of(settings), request, show)
    finally:
        progress.clear()
    if as_json:
        say_json(found.to_json(), indent=2)
    elif found.drop is not None:
        say_result(close_line(found.export, found.instant, found.drop))
    else:
        problem = found.problem.removeprefix(f"{found.state}: ")
        why = f": {problem}; {found.hint}".removesuffix("; ") if problem else ""
        say(f"{found.export} at {stamp(found.instant)}: {found.state}{why}", err=True)
    codes = {
        WaitState.DONE: 0,
        WaitState.FAILED: CloseError.exit_code,
        WaitState.HELD: HeldError.exit_code,
        WaitState.TIMED_OUT: TIMED_OUT,
    }
    if code := codes[WaitState(found.state)]:
        raise typer.Exit(code)
