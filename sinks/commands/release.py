"""The command `release`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated

import typer

from schemas.errors import Fault, WrongInputError
from schemas.printing import say, say_csv, say_json, say_text
from schemas.settings.settings import load_settings
from sinks.closing.completeness import Lag
from sinks.commands.lines import close_line
from sinks.commands.options import AsJson, Config, read_instant
from sinks.service.release import ReleaseRequest, preview_held, release_drop
from sinks.setup import Sinks

__all__ = ["read_reason", "release"]

Close = Annotated[str, typer.Option("--close", help="The close's instant, as `history` shows it.")]
Reason = Annotated[
    str | None, typer.Option(help="Why; it is kept in the ledger and in the manifest.")
]


def release(
    export: Annotated[str, typer.Argument(help="The export whose drop is held.")],
    close: Close,
    reason: Reason = None,
    show: Annotated[
        bool, typer.Option("--show", help="Show its first ten lines; send and record nothing.")
    ] = False,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Send it without offsets that are lost for good.")
    ] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Send a drop that is held, and record why; with the same bytes as it was made.

    A drop that a guard rail held is sent as it is. A drop that is held because offsets of its
    window are lost needs --accept-loss, and its manifest names these offsets. Safe to run again: a
    drop that was sent stays as it is. Exits with 0 if it was sent, 3 if it is still held, 1 if it
    failed.

    With --show nothing is sent: the drop's first ten lines go to stdout, remarks about them to
    stderr. Nothing is shown of people whose deletion was recorded since.
    """
    sinks = Sinks.of(load_settings(config))
    instant = read_instant(close)
    if show:
        _show(sinks, export, instant, accept_loss=accept_loss, as_json=as_json)
        return
    why = read_reason(reason or "")

    def progress(lags: Sequence[Lag]) -> None:
        say(f"{export}: waiting for " + "; ".join(str(lag) for lag in lags), err=True)

    request = ReleaseRequest(export, instant, why, accept_loss)
    window, sent_before = release_drop(sinks, request, progress)
    if as_json:
        say_json(window.to_json())
    else:
        say(close_line(window.export, window.instant, window.drop))
        if sent_before:
            say("  it was sent before: nothing is changed")


def _show(
    sinks: Sinks, export: str, instant: dt.datetime, *, accept_loss: bool, as_json: bool
) -> None:
    if accept_loss:
        hint = "what is held for lost offsets isn't made yet: there is nothing to look at"
        raise WrongInputError([Fault("--show", "doesn't go with --accept-loss", hint)])
    held = preview_held(sinks, export, instant)
    if as_json:
        say_json(held.to_json(), indent=2)
        return
    say_csv(held.text)
    say_text(held.notes, err=True)


def read_reason(text: str, purpose: str = "it's in the manifest") -> str:
    """Return a reason from text, which must be one line. purpose: where the reason is shown."""
    reason = " ".join(text.split())
    if not reason:
        hint = f"say who decided it and why: {purpose}"
        raise WrongInputError([Fault("--reason", "is empty", hint)])
    return reason
