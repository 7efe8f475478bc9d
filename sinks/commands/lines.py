"""What commands say of a close: a line for people, fields for scripts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from sinks.instants import stamp
from sinks.ledger.held import Holds
from sinks.ledger.ledger import CloseOutcome, Ledger
from sinks.wording import counted

__all__ = ["close_line", "history_fields", "history_lines", "outcome_fields"]


def close_line(export: str, instant: dt.datetime, outcome: CloseOutcome | None) -> str:
    """Tell a close in a line: window, file, rows, bytes, checksum, warnings."""
    when = f"{export}  {stamp(instant)}"
    if outcome is None:
        return f"{when}  begun, not finished: `deltadrop sweep` finishes it"
    if outcome.file is None:
        return f"{when}  no rows: no file, the manifest says so"
    warned = "".join(f"  ({warning})" for warning in outcome.warnings)
    size = f"{counted(outcome.rows, 'row')}  {counted(outcome.size, 'byte')}"
    return f"{when}  {outcome.file}  {size}  {outcome.sha256[:12]}{warned}"


def outcome_fields(outcome: CloseOutcome) -> dict[str, Any]:
    """Tell what came of a close; of a file that was skipped there are neither bytes nor checksum
    (the ledger keeps those that it would have had, as a proof).
    """
    fields = asdict(outcome)
    return fields if outcome.file is not None else {**fields, "size": None, "sha256": None}


def history_fields(ledger: Ledger, export: str, instant: dt.datetime) -> dict[str, Any]:
    """Tell all that the ledger has of a close: its drop, why it was held, its revisions."""
    outcome, holds = ledger.outcome(export, instant), Holds(ledger.store)
    held, release = holds.held(export, instant), holds.release(export, instant)
    intent = ledger.intent(export, instant)
    return {
        "export": export,
        "instant": instant.isoformat(),
        "outcome": outcome_fields(outcome) if outcome else None,
        "held": asdict(held) if held else None,
        "released": (
            {"reason": release.reason, "released_at": release.released_at} if release else None
        ),
        "loss": intent.loss if intent and intent.loss else None,
        "revisions": list(_revisions(ledger, export, instant)),
    }


def history_lines(ledger: Ledger, export: str, instant: dt.datetime) -> Iterator[str]:
    """Tell the same for people."""
    told = history_fields(ledger, export, instant)
    outcome, held, released = told["outcome"], told["held"], told["released"]
    if outcome is None and held and not released:
        size = f"{counted(held['rows'], 'row')}  {counted(held['size'], 'byte')}"
        yield f"{export}  {stamp(instant)}  held, nothing sent  {size}  {held['sha256'][:12]}"
    else:
        yield close_line(export, instant, ledger.outcome(export, instant))
    if held:
        yield f"  held: {'; '.join(held['reasons'])}"
    if released:
        yield f"  released: {released['reason']}"
    if told["loss"]:
        yield f"  sent without what was lost: {told['loss']}"
    for revision in told["revisions"]:
        yield _revision_line(revision)


def _revisions(ledger: Ledger, export: str, instant: dt.datetime) -> Iterator[dict[str, Any]]:
    """The drops that replaced that of a close, oldest first."""
    for number in ledger.revisions(export, instant):
        revision = ledger.revision(export, instant, number)
        outcome = ledger.revision_outcome(export, instant, number)
        yield {
            "revision": number,
            "reason": revision.reason if revision else "",
            "outcome": outcome_fields(outcome) if outcome else None,
        }


def _revision_line(revision: dict[str, Any]) -> str:
    outcome, why = revision["outcome"], f"{revision['reason']}"
    if outcome is None:
        return f"  -r{revision['revision']}  begun, not finished: {why}"
    if outcome["file"] is None:
        return f"  -r{revision['revision']}  no rows: no file  {why}"
    rows = counted(outcome["rows"], "row")
    size = f"{rows}  {counted(outcome['size'], 'byte')}  {outcome['sha256'][:12]}"
    return f"  -r{revision['revision']}  {outcome['file']}  {size}  {why}"
