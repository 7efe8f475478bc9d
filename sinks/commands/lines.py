"""What commands say of a close: a line for people, fields for scripts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from sinks.instants import stamp
from sinks.ledger.ledger import Ledger
from sinks.ledger.outcome import CloseOutcome
from sinks.ledger.record import CloseRecord, RecordedRevision
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
    return _fields(export, instant, ledger.record_of(export, instant))


def _fields(export: str, instant: dt.datetime, record: CloseRecord | None) -> dict[str, Any]:
    outcome, release = (record.outcome, record.release) if record else (None, None)
    return {
        "export": export,
        "instant": instant.isoformat(),
        "outcome": outcome_fields(outcome) if outcome else None,
        "held": asdict(record.held) if record and record.held else None,
        "released": (
            {"reason": release.reason, "released_at": release.released_at} if release else None
        ),
        "loss": record.intent.loss if record and record.intent.loss else None,
        "revisions": list(map(_revision_fields, record.revisions if record else ())),
    }


def history_lines(ledger: Ledger, export: str, instant: dt.datetime) -> Iterator[str]:
    """Tell the same for people."""
    record = ledger.record_of(export, instant)
    if record is not None and not record.is_done and record.waiting is not None:
        held = record.waiting
        size = f"{counted(held.rows, 'row')}  {counted(held.size, 'byte')}"
        yield f"{export}  {stamp(instant)}  held, nothing sent  {size}  {held.sha256[:12]}"
    else:
        yield close_line(export, instant, record.outcome if record else None)
    if record is None:
        return
    if record.held:
        yield f"  held: {'; '.join(record.held.reasons)}"
    if record.release:
        yield f"  released: {record.release.reason}"
    if record.intent.loss:
        yield f"  sent without what was lost: {record.intent.loss}"
    for revision in map(_revision_fields, record.revisions):
        yield _revision_line(revision)


def _revision_fields(recorded: RecordedRevision) -> dict[str, Any]:
    """A drop that replaced that of a close."""
    return {
        "revision": recorded.revision.number,
        "reason": recorded.revision.reason,
        "outcome": outcome_fields(recorded.outcome) if recorded.outcome else None,
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
