"""Text about closes for people, in one line or several."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from sinks.instants import stamp
from sinks.service.drop_record import DropRecord
from sinks.service.history import HistoryEntry, RevisionEntry
from sinks.wording import counted

__all__ = ["close_line", "history_lines"]


def close_line(export: str, instant: dt.datetime, drop: DropRecord | None) -> str:
    """Return a close in one line: window, file, rows, bytes, checksum, warnings."""
    when = f"{export}  {stamp(instant)}"
    if drop is None:
        return f"{when}  begun, not finished: `deltadrop sweep` finishes it"
    if drop.file is None:
        return f"{when}  no rows: no file, the manifest says so"
    warned = "".join(f"  ({warning})" for warning in drop.warnings)
    return f"{when}  {drop.file}  {_figures(drop)}{warned}"


def history_lines(entry: HistoryEntry) -> Iterator[str]:
    """Yield everything that is recorded of a close."""
    held, released = entry.held, entry.released
    if entry.outcome is None and held and not released:
        size = f"{counted(held.rows, 'row')}  {counted(held.size, 'byte')}"
        when = f"{entry.export}  {stamp(entry.instant)}"
        yield f"{when}  held, nothing sent  {size}  {held.sha256[:12]}"
    else:
        yield close_line(entry.export, entry.instant, entry.outcome)
    if held:
        yield f"  held: {'; '.join(held.reasons)}"
    if released:
        yield f"  released: {released.reason}"
    if entry.loss:
        yield f"  sent without what was lost: {entry.loss}"
    for revision in entry.revisions:
        yield _revision_line(revision)


def _revision_line(revision: RevisionEntry) -> str:
    drop, number = revision.outcome, f"-r{revision.revision}"
    if drop is None:
        return f"  {number}  begun, not finished: {revision.reason}"
    if drop.file is None:
        return f"  {number}  no rows: no file  {revision.reason}"
    return f"  {number}  {drop.file}  {_figures(drop)}  {revision.reason}"


def _figures(drop: DropRecord) -> str:
    size, checksum = counted(drop.size or 0, "byte"), (drop.sha256 or "")[:12]
    return f"{counted(drop.rows, 'row')}  {size}  {checksum}"
