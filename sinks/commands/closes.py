"""Commands that close windows, and say what was closed."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Final

import typer

from schemas.errors import (
    CloseError,
    DeltadropError,
    Fault,
    HeldError,
    LedgerError,
    WaitingError,
    WrongInputError,
)
from schemas.settings.settings import load_settings
from sinks.closing.completeness import Lag
from sinks.closing.deliveries import Deliveries
from sinks.closing.running import attempt
from sinks.commands.chosen import chosen_exports
from sinks.commands.lines import close_line, outcome_fields
from sinks.commands.options import AsJson, Config
from sinks.commands.telling import reporter_of
from sinks.commands.unsent import unsent
from sinks.exports.export import Export
from sinks.instants import parse_zoned
from sinks.ledger.due import Due, closed_until, due_closes, initial_closes
from sinks.night.lanes import Lanes
from sinks.night.observing import writing_metrics
from sinks.reports import Reporter
from sinks.setup import Sinks

__all__ = ["close"]


_LOOK_AGAIN_SECONDS: Final = 1.0
"""Between two looks at those that wait for workers."""
_NONE = "none is defined: `deltadrop init-export` writes one"


def close(
    exports: Annotated[
        list[str] | None, typer.Argument(help="Exports to close; all without.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="The instant, ISO 8601 with zone.")] = None,
    initial: Annotated[
        bool, typer.Option("--initial", help="First close: every living row, as of now or --at.")
    ] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Close every due window that isn't closed yet, oldest first; or the one that ends at --at.

    Exits with 0 if all were closed, 2 if one can't be as it is asked for, else 1 if one failed or a
    revision can't be delivered, else 3 if one was held; the others were closed all the same.
    """
    settings = load_settings(config)
    at_once = settings.close.model_copy(update={"wait_seconds": 0})
    sinks = Sinks.of(settings.model_copy(update={"close": at_once}))
    chosen = chosen_exports(sinks.installation, exports or [])
    if initial and not exports:
        raise WrongInputError([Fault("--initial", "names no export", "close EXPORT --initial")])
    if warning := unsent(settings, chosen):
        typer.echo(f"warning: {warning}", err=True)
    reporter = reporter_of(sinks)
    reporter.settle(chosen)
    now = dt.datetime.now(dt.UTC)
    run = _Run(sinks, reporter, initial, as_json, by_hand=at is not None or initial)
    due = _due_at(chosen, _instant(at, now)) if at else _due(run, chosen, now)
    with writing_metrics(sinks, settings.observe.textfile):
        _close_in_order(run, due, settings.close.wait_seconds)
    unfinished = _finish_revisions(sinks, reporter)
    reporter.revised(sinks.exports)
    sinks.retention.sweep()
    for export in chosen:
        if not isinstance(run.failures.get(export.name), LedgerError):
            reporter.late(export, [one.instant for one in due_closes([export], sinks.ledger, now)])
    reporter.send()
    if not due and not run.failures and not as_json:
        typer.echo("nothing is due")
    codes = [error.exit_code for error in run.failures.values()]
    if codes or unfinished:
        raise typer.Exit(_worst([*codes, *(CloseError.exit_code for _ in unfinished)]))


def _finish_revisions(sinks: Sinks, reporter: Reporter) -> list[str]:
    """Finish what was begun of revisions; say, and return, what can't be."""
    failed = partial(reporter.revision_failed, sinks.exports)
    left = replace(sinks.sweeper, failed=failed).finish_revisions().left
    for told in left:
        typer.echo(told, err=True)
    return left


@dataclass(slots=True)
class _Run:
    """A run of `close`: what it works with, and what failed of it."""

    sinks: Sinks
    reporter: Reporter
    initial: bool
    as_json: bool
    by_hand: bool  # an instant that a person chose; who sees on the terminal what is wrong with it
    patient: bool = True  # what waits for workers is looked at again
    waiting: set[str] = field(default_factory=set)
    failures: dict[str, DeltadropError] = field(default_factory=dict)

    def failed(self, due: Due, error: DeltadropError) -> None:
        """Keep in mind that a close failed, and say so."""
        self.failures[due.export] = error
        typer.echo(f"{due.export} at {due.instant.isoformat()}: {error}", err=True)
        if self.as_json:
            told = {"export": due.export, "instant": due.instant.isoformat()}
            typer.echo(json.dumps({**told, "error": error.to_fields()}))

    def waits(self, due: Due, lags: Sequence[Lag]) -> None:
        """Say once what a close waits for."""
        if due.export not in self.waiting:
            self.waiting.add(due.export)
            told = "; ".join(str(lag) for lag in lags)
            typer.echo(f"{due.export}: waiting for {told}", err=True)


def _close_in_order(run: _Run, due: Sequence[Due], wait_seconds: float) -> None:
    """Close what is due, oldest first; an export that fails isn't closed at later instants.

    Those that wait for workers are looked at again, all in turn, until the run has lasted
    `wait_seconds`: none keeps another waiting. One whose delivery lasts goes on in a lane of its
    own, and its later windows wait for it.
    """
    lanes, left = Lanes(), list(due)
    deadline = time.monotonic() + wait_seconds
    while left:
        run.patient = time.monotonic() < deadline
        with lanes:
            waits = _close_all_that_can(run, lanes, left)
        lanes.join()
        if len(waits) == len(left):
            time.sleep(_LOOK_AGAIN_SECONDS)
        left = waits


def _close_all_that_can(run: _Run, lanes: Lanes, due: Sequence[Due]) -> list[Due]:
    """Close what can be closed now; return what waits, for workers or an earlier window."""
    delay = dt.timedelta(seconds=run.sinks.settings.close.delay_seconds)
    waits: list[Due] = []
    for instant in sorted({one.instant for one in due}):
        _wait_until(instant + delay)
        for one in (one for one in due if one.instant == instant):
            if one.export in lanes.under_way() or one.export in {before.export for before in waits}:
                waits.append(one)
            elif one.export not in run.failures:
                done = lanes.run(one.export, partial(_close_one, run, one))
                if done is False and one.export not in run.failures:
                    waits.append(one)
        run.sinks.rebase.remake_where_due(run.sinks.streams.topics.values(), instant)
    return [one for one in waits if one.export not in run.failures]


def _close_one(run: _Run, due: Due, beside: Callable[[Deliveries], Deliveries]) -> bool:
    closer = replace(run.sinks.closer, deliveries=beside(run.sinks.closer.deliveries))
    export = next(one for one in run.sinks.exports if one.name == due.export)

    try:
        progress = partial(run.waits, due)
        outcome = attempt(closer, export, due.instant, progress, initial=run.initial)
    except DeltadropError as error:
        if isinstance(error, WaitingError) and run.patient:
            return False
        run.failed(due, error)
        if not run.by_hand:
            run.reporter.troubled(export, due.instant, error)
        return False
    run.waiting.discard(due.export)
    run.reporter.delivered(export, due.instant, outcome)
    if run.as_json:
        told = {"export": due.export, "instant": due.instant.isoformat(), **outcome_fields(outcome)}
        typer.echo(json.dumps(told))
    else:
        typer.echo(close_line(due.export, due.instant, outcome))
    return True


def _worst(codes: Iterable[int]) -> int:
    """The exit code that tells most: what failed must be mended, what was held may be let go."""
    return min(
        codes, key=(WrongInputError.exit_code, CloseError.exit_code, HeldError.exit_code).index
    )


def _due(run: _Run, exports: Sequence[Export], now: dt.datetime) -> list[Due]:
    """What is due; an export whose ledger can't be read fails, and the others don't wait for it."""
    due: list[Due] = []
    for export in exports:
        try:
            due += (initial_closes if run.initial else due_closes)([export], run.sinks.ledger, now)
        except LedgerError as error:
            last = closed_until(export, run.sinks.ledger) or now
            run.failed(Due(last, export.name), error)
            run.reporter.troubled(export, last, error)
    return sorted(due)


def _due_at(exports: Sequence[Export], instant: dt.datetime) -> list[Due]:
    return sorted(Due(instant, export.name) for export in exports)


def _instant(text: str, now: dt.datetime) -> dt.datetime:
    try:
        instant = parse_zoned(text)
    except ValueError:
        hint = "write it as 2026-03-28T06:00:00+01:00"
        raise WrongInputError([Fault("--at", f"'{text}' isn't an instant", hint)]) from None
    if instant > now:
        raise WrongInputError(
            [Fault("--at", f"{text} hasn't come yet", "choose an instant in the past")]
        )
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def _wait_until(moment: dt.datetime) -> None:
    """Wait until what was appended before an instant can be read (close.delay_seconds)."""
    seconds = (moment - dt.datetime.now(dt.UTC)).total_seconds()
    if seconds > 0:
        time.sleep(seconds)
