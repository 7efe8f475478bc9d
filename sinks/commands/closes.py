"""The command `close`."""

from __future__ import annotations

import datetime as dt
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import structlog
import typer

from schemas.errors import CloseError, DeltadropError, Fault, HeldError, WrongInputError
from schemas.json_result import Failure
from schemas.printing import say, say_json, say_result, say_text
from schemas.settings.settings import load_settings
from schemas.terminal import ProgressLine, columns_of, is_terminal, wrapped
from sinks.closing.completeness import Lag
from sinks.commands.lines import close_line
from sinks.commands.options import AsJson, Config
from sinks.instants import parse_zoned, stamp, utc_now
from sinks.ledger.due import Due
from sinks.night.observing import writing_metrics
from sinks.service.closes import ClosedWindow, CloseRequest, FailedWindow, close_windows
from sinks.service.due_windows import waiting
from sinks.setup import Sinks

__all__ = ["close"]

log = structlog.get_logger(__name__)


def close(
    exports: Annotated[
        list[str] | None, typer.Argument(help="Exports to close; all without.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="The instant, ISO 8601 with zone, or now.")] = None,
    initial: Annotated[
        bool, typer.Option("--initial", help="First close: every living row, as of now or --at.")
    ] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Close every due window that isn't closed yet, oldest first; or the one that ends at --at.

    Exits with 0 if all were closed; 2 if a close isn't possible as requested; else 1 if a close
    failed or a revision can't be delivered; else 3 if a close was held; the other closes are made
    in any case.
    """
    settings = load_settings(config)
    sinks = Sinks.of(waiting(settings, 0))
    instant = None if at is None else _instant(at)
    request = CloseRequest(tuple(exports or ()), instant, initial, settings.close.wait_seconds)
    watched = writing_metrics(sinks, settings.observe.textfile)
    progress = ProgressLine(sys.stderr)
    printer = _Printer(as_json, progress)
    try:
        run = close_windows(sinks, request, printer, watched)
    finally:
        progress.clear()
    if not run.due and not run.failures and not as_json:
        say("nothing is due")
    codes = [error.exit_code for error in run.failures.values()]
    if codes or run.unfinished:
        raise typer.Exit(_worst([*codes, *(CloseError.exit_code for _ in run.unfinished)]))


@dataclass(slots=True)
class _Printer:
    """Prints the events of closes: a `CloseObserver`. On a terminal, what goes on is one line that
    is written over, and what came of it stays above; elsewhere a pause is a line of the log.
    """

    as_json: bool
    progress: ProgressLine
    paused: dt.datetime | None = None
    """The instant whose pause was logged."""

    def warned(self, warning: Fault) -> None:
        """See CloseObserver.warned."""
        self._tell(f"warning: {warning}")

    def pauses(self, instant: dt.datetime, seconds: float) -> None:
        """See CloseObserver.pauses."""
        left = math.ceil(seconds)
        why = f"until all before {stamp(instant)} can be read"
        self.progress.show(f"waiting {left} s (close.delay_seconds) {why}")
        if instant != self.paused:
            why = "close.delay_seconds: until all before the instant can be read"
            log.info("waiting", instant=instant.isoformat(), seconds=left, why=why)
        self.paused = instant

    def begins(self, due: Due) -> None:
        """See CloseObserver.begins."""
        self.progress.show(f"closing {due.export} at {stamp(due.instant)}")

    def waits(self, export: str, lags: Sequence[Lag]) -> None:
        """See CloseObserver.waits."""
        self._tell(f"{export}: waiting for {'; '.join(str(lag) for lag in lags)}")

    def closed(self, window: ClosedWindow) -> None:
        """See CloseObserver.closed."""
        with self.progress.hidden():
            if self.as_json:
                say_json(window.to_json())
            else:
                say_result(close_line(window.export, window.instant, window.drop))

    def failed(self, due: Due, error: DeltadropError) -> None:
        """See CloseObserver.failed."""
        self._tell(f"{due.export} at {due.instant.isoformat()}: {error}")
        if self.as_json:
            window = FailedWindow(due.export, due.instant, Failure.of(error))
            say_json(window.to_json())

    def unfinished(self, what: str) -> None:
        """See CloseObserver.unfinished."""
        self._tell(what)

    def _tell(self, message: str) -> None:
        """Print a message for people, wrapped between words on a terminal."""
        with self.progress.hidden():
            if is_terminal(sys.stderr):
                columns = columns_of(sys.stderr)
                message = "\n".join(wrapped(line, columns) for line in message.split("\n"))
            say_text(message, err=True)


def _worst(codes: Iterable[int]) -> int:
    """Return the most serious code: failures need repair, held drops may only need release."""
    return min(
        codes, key=(WrongInputError.exit_code, CloseError.exit_code, HeldError.exit_code).index
    )


def _instant(text: str) -> dt.datetime:
    if text == "now":
        return utc_now().replace(microsecond=0)
    try:
        parse_zoned(text)
        return dt.datetime.fromisoformat(text)  # in the time zone of the argument
    except ValueError:
        hint = "write it as 2026-03-28T06:00:00+01:00, or now"
        raise WrongInputError([Fault("--at", f"'{text}' isn't an instant", hint)]) from None
