"""The command that begins an export: it asks the reference page's questions and writes the YAML."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from schemas.errors import Fault
from schemas.one_line import one_line
from schemas.printing import say, say_json
from schemas.settings.settings import load_settings
from schemas.tables import load_catalog
from sinks.authoring.draft import Answer, Draft, write_definition
from sinks.authoring.json_schema import schema_line
from sinks.authoring.questions import QUESTIONS, Interviewer, Offer, Question, flag_of, interview
from sinks.authoring.summary import summary_of
from sinks.commands.exports import SCHEMA_FOLDER, show, write_schemas
from sinks.commands.options import AsJson, Config
from sinks.exports.export import Export, load_exports
from sinks.locations import load_locations, terms_of
from sinks.service.exports import WrittenExport

__all__ = ["OnTerminal", "init_export"]

_FIRST_LINE = schema_line(f"{SCHEMA_FOLDER}/export.json")
_BY_FIELD = {question.field: question for question in QUESTIONS}


def _flag(field: str) -> Any:
    """Return the option that answers a question."""
    text = _BY_FIELD[field].text
    return typer.Option(flag_of(field), help=f"{text[:1].upper()}{text[1:]}.", show_default=False)


def init_export(
    *,
    name: Annotated[str | None, _flag("export")] = None,
    suffix: Annotated[str | None, _flag("suffix")] = None,
    entity: Annotated[str | None, _flag("entity")] = None,
    type_: Annotated[str | None, _flag("type")] = None,
    database: Annotated[str | None, _flag("database")] = None,
    table: Annotated[str | None, _flag("table")] = None,
    event: Annotated[str | None, _flag("event")] = None,
    source: Annotated[list[str] | None, _flag("sources")] = None,
    column: Annotated[list[str] | None, _flag("columns")] = None,
    boolean: Annotated[str | None, _flag("formats.boolean")] = None,
    date: Annotated[str | None, _flag("formats.date")] = None,
    moment: Annotated[str | None, _flag("formats.moment")] = None,
    values_separator: Annotated[str | None, _flag("formats.values_separator")] = None,
    formulas: Annotated[str | None, _flag("formats.formulas")] = None,
    separator: Annotated[str | None, _flag("file.separator")] = None,
    compression: Annotated[str | None, _flag("file.compression")] = None,
    file_name: Annotated[str | None, _flag("file.name")] = None,
    inner_name: Annotated[str | None, _flag("file.inner_name")] = None,
    when_empty: Annotated[str | None, _flag("when_empty")] = None,
    deliver: Annotated[list[str] | None, _flag("deliver")] = None,
    at: Annotated[str | None, _flag("schedule.at")] = None,
    time_zone: Annotated[str | None, _flag("schedule.time_zone")] = None,
    deliver_by: Annotated[str | None, _flag("schedule.deliver_by")] = None,
    recipient: Annotated[list[str] | None, _flag("recipients")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write an export's definition: asks for what no flag says, and shows its summary.

    Without a terminal, flags must answer every question. An existing file is never overwritten.
    """
    given = _answers(locals())
    settings = load_settings(config)
    catalog = load_catalog(settings.tables)
    terms = terms_of(load_locations(settings))
    there = load_exports(settings.exports, catalog, terms) if settings.exports.exists() else ()
    draft = Draft(catalog, terms, [export.name for export in there])
    asking = OnTerminal() if sys.stdin.isatty() and not as_json else None
    draft = interview(draft, given, asking)
    path, export = write_definition(draft, settings.exports, _FIRST_LINE)
    write_schemas(settings, catalog, None)
    _show(path, export, as_json, requested_before=asking is not None)


def _show(path: Path, export: Export, as_json: bool, requested_before: bool) -> None:
    written = WrittenExport(str(path), summary_of(export, dt.datetime.now(dt.UTC)))
    if as_json:
        say_json(written.to_json())
        return
    if requested_before:
        say()
    show(written.summary)
    say("", f"written: {path}", f"look at its lines: deltadrop preview {export.name}")


def _answers(arguments: Mapping[str, Any]) -> dict[str, Answer]:
    """Return the answers among the command's arguments, by field.

    An argument has its flag's name.
    """
    by_flag = {f"--{name.strip('_').replace('_', '-')}": value for name, value in arguments.items()}
    given = {field: by_flag[flag_of(field)] for field in _BY_FIELD}
    return {
        field: answer if isinstance(answer, str) else tuple(answer)
        for field, answer in given.items()
        if answer
    }


class OnTerminal(Interviewer):
    """Asks questions on the terminal; a choice may be given by its number."""

    def __init__(self) -> None:
        self._step = ""

    def ask(self, question: Question, offer: Offer, default: str | None) -> Answer | None:
        """Print the step at its beginning and the choices, and read a line."""
        if question.step != self._step:
            self._step = question.step
            typer.secho(f"\n{question.step}", bold=True)
        width = max(map(len, offer), default=0)
        for number, (choice, meaning) in enumerate(offer.items(), 1):
            say(f"  {number:3} {choice:{width}}  {meaning}".rstrip())
        held = "" if default is None else one_line(f" [{default}]")
        while True:
            line = input(f"{question.text}{held}: ").strip()
            if line or default is not None:
                break
        if not line:
            return None
        names = [_choice(part.strip(), list(offer)) for part in line.split(",")]
        return tuple(names) if question.several else _choice(line, list(offer))

    def refuse(self, faults: Iterable[Fault]) -> None:
        """Print the faults of an answer."""
        for fault in faults:
            message = one_line(f"{fault.what}; {fault.hint}".removesuffix("; "))
            typer.secho(message, fg=typer.colors.RED)


def _choice(text: str, offered: list[str]) -> str:
    """Return the choice for a number (a column's header may follow it), or else the text itself."""
    number, equals, header = text.partition("=")
    if number.isdigit() and 0 < int(number) <= len(offered):
        return f"{offered[int(number) - 1]}{equals}{header}"
    return text
