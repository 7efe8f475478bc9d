"""The text of a report: subject, plain text and HTML, with trouble first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, TypeAlias

from schemas.one_line import one_line
from sinks.reports.report import Report, ReportKind
from sinks.wording import counted

__all__ = ["html", "plain", "subject"]

Line: TypeAlias = tuple[str, str | Sequence[str]]
"""(label, its text, or its texts with a line for each)."""

_INDENT: Final = 18
_STYLE: Final = "font-family:sans-serif;font-size:14px;color:#222"
_LABEL_STYLE: Final = "padding:2px 16px 2px 0;color:#666;vertical-align:top;white-space:nowrap"
_TROUBLE_STYLE: Final = "color:#b00020"


@dataclass(frozen=True, slots=True)
class _Part:
    title: str
    lines: tuple[Line, ...]
    is_trouble: bool = False


def subject(report: Report) -> str:
    """Return the subject line: result, export and window, for a reader of a full mailbox.

    It is one line whatever names hold, so that no name adds a header (RFC 5322, 2.2).
    """
    window = f"window until {report.window.end.local[:16].replace('T', ' ')}"
    return one_line(f"deltadrop: {_result(report)}, {window}")


def _result(report: Report) -> str:
    name = report.export.name
    match report.kind:
        case ReportKind.DELIVERED:
            rows = counted(report.rows, "row")
            late = " (late)" if report.delivered_late else ""
            released = " (released)" if report.reason else ""
            looks = " (see warnings)" if report.warnings or report.dead_letters else ""
            return f"{name} delivered{late}{released}{looks}, {rows}"
        case ReportKind.REVISED:
            return f"{name} made again, -r{report.revision}, {counted(report.rows, 'row')}"
        case ReportKind.HELD | ReportKind.FAILED | ReportKind.LATE | ReportKind.SETTLED:
            revision = f" -r{report.revision}" if report.revision else ""
            kind = str(report.kind)
            return f"{kind.upper() if report.is_trouble else kind}: {name}{revision}"


def plain(report: Report) -> str:
    """Return the report as plain text."""
    return "\n\n".join(map(_plain_part, _parts(report))) + "\n"


def html(report: Report) -> str:
    """Return the report as HTML, without images, scripts or anything that has to be fetched."""
    parts = "".join(_html_part(part) for part in _parts(report))
    return f'<!doctype html>\n<html><body style="{_STYLE}">{parts}</body></html>\n'


def _plain_part(part: _Part) -> str:
    indent = max(_INDENT, *(len(label) + 2 for label, _ in part.lines))
    following = "\n" + " " * (indent + 2)
    lines = (f"  {label:{indent}}{following.join(_shown(text))}" for label, text in part.lines)
    return "\n".join([part.title, *lines])


def _html_part(part: _Part) -> str:
    style = f' style="{_TROUBLE_STYLE}"' if part.is_trouble else ""
    rows = "".join(
        f'<tr><td style="{_LABEL_STYLE}">{escape(label)}</td>'
        f"<td>{'<br>'.join(map(escape, _shown(text)))}</td></tr>"
        for label, text in part.lines
    )
    return f"<h3{style}>{escape(part.title)}</h3><table>{rows}</table>"


def _shown(text: str | Sequence[str]) -> list[str]:
    return [one_line(line) for line in ([text] if isinstance(text, str) else text)]


def _parts(report: Report) -> Iterator[_Part]:
    if report.is_trouble:
        yield _Part(_TITLES[report.kind], tuple(_trouble(report)), is_trouble=True)
    attention = tuple(_attention(report))
    if attention:
        yield _Part("Worth a look", attention, is_trouble=True)
    if report.kind is ReportKind.REVISED:
        yield _Part("Made again: this file replaces the one before", tuple(_revision(report)))
    if report.kind is ReportKind.SETTLED:
        yield _Part("Settled: this trouble is over", tuple(_settled(report)))
    elif not report.is_trouble:
        yield _Part("Delivered", tuple(_drop(report)))
    yield _Part("Export", tuple(_export(report)))
    if report.balance:
        yield _Part("Balance: each record of the input, and what became of it", _balance(report))


_TITLES: Final = {
    ReportKind.HELD: "Held: nothing was sent",
    ReportKind.FAILED: "Failed: it is tried again",
    ReportKind.LATE: "Late",
}


def _trouble(report: Report) -> Iterator[Line]:
    yield "what", report.problem.split("\n")  # one line for each fault
    if report.hint:
        yield "what to do", report.hint
    if report.deliver_by:
        yield "due by", f"{report.deliver_by} (UTC)"
    if report.revision:
        yield "revision", f"-r{report.revision}: made again, and not delivered everywhere yet"
        yield "why", report.reason


def _settled(report: Report) -> Iterator[Line]:
    yield "what was", report.problem
    yield "since", f"{report.since} (UTC)"
    yield "until", f"{report.told_at} (UTC)"
    yield "file", report.file or "none: the window is empty; the manifest says so"


def _attention(report: Report) -> Iterator[Line]:
    if report.delivered_late:
        yield "late", f"finished {report.told_at}, due by {report.deliver_by}"
    if report.dead_letters:
        events = counted(report.dead_letters, "event")
        yield "dead letters", f"{events} that could not be used: see `deltadrop dead-letters list`"
    if report.warnings:
        yield "warnings", report.warnings


def _revision(report: Report) -> Iterator[Line]:
    yield "revision", f"-r{report.revision}"
    yield "why", report.reason
    if report.replaces is None:
        yield "replaces", "no file: there was none"
    else:
        yield "replaces", f"{report.replaces}: remove it where you have a copy"


def _drop(report: Report) -> Iterator[Line]:
    if report.kind is ReportKind.DELIVERED and report.reason:
        yield "was held", report.held_because
        yield "released", report.reason
    yield from _file(report)
    yield "delivered to", report.receipts
    yield "dead letters", f"{report.dead_letters:,}"
    late = ", ".join(f"{rows:,} of {day}" for day, rows in report.late_rows.items())
    yield "late rows", late or "0"


def _file(report: Report) -> Iterator[Line]:
    yield "file", report.file or "none: the window is empty; the manifest says so"
    if report.file is not None and not report.rows:
        empty = "no line is left" if report.kind is ReportKind.REVISED else "the window is empty"
        yield "empty", f"{empty}: the file has its header only"
    yield "rows", f"{report.rows:,}"
    if report.bytes is not None and report.sha256 is not None:
        yield "size", counted(report.bytes, "byte")
        yield "SHA-256", report.sha256


def _export(report: Report) -> Iterator[Line]:
    export, window = report.export, report.window
    table = f", table {export.table}" if export.table else ""
    yield "export", f"{export.name} ({export.entity})"
    yield "type", f"{export.type} / {export.event}, database {export.database}{table}"
    if window.begin is not None:
        yield "window from", f"{window.begin.local} ({window.begin.utc})"
    yield "window until", f"{window.end.local} ({window.end.utc})"
    if window.remark:
        yield "remark", window.remark
    if report.drop:
        yield "drop", report.drop


def _balance(report: Report) -> tuple[Line, ...]:
    total = ("input", f"{sum(report.balance.values()):,}")
    return (total, *((outcome, f"{number:,}") for outcome, number in report.balance.items()))
