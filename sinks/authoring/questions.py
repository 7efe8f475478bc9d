"""The questions that make an export, in the order of the reference page's steps 1 to 5.

Each question asks for one field of the definition. It offers only choices that are possible with
the earlier answers on the customer's databases. Each can also be answered by a flag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from schemas.definitions.definitions import choices
from schemas.errors import Fault, WrongInputError
from schemas.events import SOURCE_GROUPS, Source
from schemas.tables import AttributeType, TableKind
from sinks.authoring.draft import Answer, Draft
from sinks.exports.definition import (
    USUAL_NAME,
    ExportDefinition,
    FileDefinition,
    FormatsDefinition,
    WhenEmpty,
)
from sinks.exports.types import EXPORT_TYPES, ExportType, columns_on_offer
from sinks.rendering.compress import Compression
from sinks.rendering.layout import (
    MOMENT_FORMATS,
    BooleanFormat,
    DatePattern,
    Formulas,
    Separator,
)
from sinks.rules.columns import Column, Subject

__all__ = ["QUESTIONS", "Interviewer", "Offer", "Question", "flag_of", "interview"]

Offer = Mapping[str, str]
"""Valid choices, with a short explanation where one is needed."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question about a draft.

    field: the field that it asks for, as a path in the definition. offer: the valid choices; empty
    if any text may be right. default: the value used without an answer, as people read it; None if
    an answer is required. is_written: whether the default is written to the file, as the definition
    has no such default. applies: whether the question is asked at all. after: the field whose
    answer decides the choices.
    """

    step: str
    field: str
    text: str
    offer: Callable[[Draft], Offer] = lambda _: {}
    default: Callable[[Draft], str | None] = lambda _: None
    is_written: bool = False
    applies: Callable[[Draft], bool] = lambda _: True
    several: bool = False
    after: str | None = None


class Interviewer(Protocol):
    """Puts questions to a person."""

    def ask(self, question: Question, offer: Offer, default: str | None) -> Answer | None:
        """Return the answer; None stands for the default."""

    def refuse(self, faults: Iterable[Fault]) -> None:
        """Show the faults of the answer; the same question follows again."""


def flag_of(field: str) -> str:
    """Return the flag that answers a field: `--time-zone` for `schedule.time_zone`."""
    named = {
        "export": "name",
        "file.name": "file-name",
        "sources": "source",
        "columns": "column",
        "recipients": "recipient",
    }
    return "--" + (named.get(field) or field.rpartition(".")[2].replace("_", "-"))


def interview(draft: Draft, given: Mapping[str, Answer], asking: Interviewer | None) -> Draft:
    """Return the draft with all answers: the given ones, and those that a person adds.

    asking: puts the questions; None if nobody can answer. Raises WrongInputError with every wrong
    answer among the given ones and, if `asking` is None, every missing one; each with a hint.
    """
    faults: list[Fault] = []
    for question in QUESTIONS:
        default = question.default(draft)
        if question.field in given:
            draft = draft.answered(question.field, given[question.field])
            faults += _wrong(question, draft)
        elif not question.applies(draft):
            continue
        elif asking is not None and not faults:
            draft = _answered(question, draft, asking)
        elif default is None:
            faults.append(_missing(question, draft))
        elif question.is_written:
            draft = draft.answered(question.field, default)
    if faults:
        raise WrongInputError(faults)
    return draft


def _answered(question: Question, draft: Draft, asking: Interviewer) -> Draft:
    offer, default = question.offer(draft), question.default(draft)
    while True:
        answer = asking.ask(question, offer, default)
        if answer is None:
            return draft.answered(question.field, str(default)) if question.is_written else draft
        answered = draft.answered(question.field, answer)
        wrong = _wrong(question, answered)
        if not wrong:
            return answered
        asking.refuse(wrong)


def _wrong(question: Question, draft: Draft) -> list[Fault]:
    """Return the faults of an answer, with its flag in place of its field."""
    return [
        Fault(flag_of(question.field), fault.what.partition(": ")[2], fault.hint)
        for fault in draft.faults(question.field)
    ]


def _missing(question: Question, draft: Draft) -> Fault:
    hint = choices("", question.offer(draft)) or question.text
    if question.after is not None and question.after not in draft.answers:
        hint = f"what it can be depends on {flag_of(question.after)}"
    return Fault(flag_of(question.field), "is missing", hint)


def _type(draft: Draft) -> ExportType | None:
    return EXPORT_TYPES.get(draft.text("type"))


def _types(draft: Draft) -> Offer:
    kinds = {table.kind for table in draft.catalog.tables.values()}
    return {
        name: f"of a table of kind {export_type.table}" if export_type.table else ""
        for name, export_type in EXPORT_TYPES.items()
        if export_type.table is None or export_type.table in kinds
    }


def _databases(draft: Draft) -> Offer:
    export_type = _type(draft)
    kind = export_type.table if export_type else None
    return {
        name: ""
        for name in draft.catalog.databases
        if kind is None or any(True for _ in _of_kind(draft, name, kind))
    }


def _tables(draft: Draft) -> Offer:
    export_type = _type(draft)
    if export_type is None or export_type.table is None:
        return {}
    return dict.fromkeys(_of_kind(draft, draft.text("database"), export_type.table), "")


def _of_kind(draft: Draft, database: str, kind: TableKind) -> Iterator[str]:
    for (owner, name), table in draft.catalog.tables.items():
        if owner == database and table.kind is kind:
            yield name


def _events(draft: Draft) -> Offer:
    export_type = _type(draft)
    if export_type is None:
        return {}
    known = ("type", "database", "table")
    so_far = {name: draft.text(name) for name in known if name in draft.answers}
    return {
        event: increment.meaning
        for event, increment in export_type.increments.items()
        if draft.is_possible(**so_far, event=event)
    }


def _only(offer: Callable[[Draft], Offer]) -> Callable[[Draft], str | None]:
    """Return a function for the default: the only choice, or None if there are several."""

    def only(draft: Draft) -> str | None:
        names = list(offer(draft))
        return names[0] if len(names) == 1 else None

    return only


def _has_filter(draft: Draft) -> bool:
    export_type = _type(draft)
    increment = export_type.increments.get(draft.text("event")) if export_type else None
    return increment is not None and increment.source_filter


def _sources(_: Draft) -> Offer:
    groups = {
        str(group): ", ".join(sorted(str(member) for member in members))
        for group, members in SOURCE_GROUPS.items()
    }
    return {**groups, **{str(source): "" for source in Source}}


def _on_offer(draft: Draft) -> tuple[Column, ...]:
    """Return all columns that the export can have; none before its subject is known."""
    export_type = _type(draft)
    database = draft.catalog.databases.get(draft.text("database"))
    increment = export_type.increments.get(draft.text("event")) if export_type else None
    if export_type is None or database is None or increment is None:
        return ()
    table = draft.catalog.tables.get((database.name, draft.text("table")))
    if (table is None) != (export_type.table is None):
        return ()
    return columns_on_offer(export_type, increment, Subject(database, table))


def _columns(draft: Draft) -> Offer:
    return {
        column.name: "" if column.name == column.header else f"header {column.header}"
        for column in _on_offer(draft)
    }


def _all_columns(draft: Draft) -> str:
    return f"the {sum(column.chosen for column in _on_offer(draft))} that the type has by itself"


def _has(kind: AttributeType) -> Callable[[Draft], bool]:
    """Return a function: whether a chosen column has this type. Formats of other types aren't used
    (the reference page's step 4).
    """
    return lambda draft: any(column.type is kind for column in _chosen(draft))


def _has_text_attribute(draft: Draft) -> bool:
    return any(column.is_text_attribute for column in _chosen(draft))


def _chosen(draft: Draft) -> Iterator[Column]:
    """Yield the columns that the draft has."""
    chosen = {name.partition("=")[0] for name in draft.answers.get("columns", ())}
    for column in _on_offer(draft):
        if {column.name, column.header} & chosen if chosen else column.chosen:
            yield column


def _named(names: Iterable[str]) -> Callable[[Draft], Offer]:
    offer = {str(name): "" for name in names}
    return lambda _: offer


def _always(default: object) -> Callable[[Draft], str]:
    return lambda _: str(default)


_GENERAL, _DATA = "General data", "Data"
_VALUES, _FILE, _TRANSFER = "Format of values", "Format of file", "Transfer"
_FORMATS, _CSV = FormatsDefinition(), FileDefinition()
_FIELDS = ExportDefinition.model_fields

QUESTIONS: Final = (
    Question(_GENERAL, "export", "its name, which begins the names of its files"),
    Question(
        _GENERAL,
        "suffix",
        "the date that follows the name",
        default=_always(_FIELDS["suffix"].default),
    ),
    Question(_GENERAL, "entity", "the entity that it belongs to"),
    Question(_GENERAL, "type", "what it exports", _types),
    Question(_GENERAL, "database", "the database", _databases, _only(_databases), is_written=True),
    Question(
        _GENERAL,
        "table",
        "the table",
        _tables,
        _only(_tables),
        is_written=True,
        applies=lambda draft: (
            (export_type := _type(draft)) is not None and export_type.table is not None
        ),
        after="database",
    ),
    Question(_GENERAL, "event", "what makes a line", _events, _only(_events), True, after="type"),
    Question(
        _GENERAL,
        "sources",
        "only from these sources",
        _sources,
        _always("all sources"),
        applies=_has_filter,
        several=True,
    ),
    Question(
        _DATA,
        "columns",
        "the columns in their order, COLUMN or COLUMN=HEADER",
        _columns,
        _all_columns,
        several=True,
    ),
    Question(
        _VALUES,
        "formats.boolean",
        "true and false",
        _named(BooleanFormat),
        _always(_FORMATS.boolean),
        applies=_has(AttributeType.BOOLEAN),
    ),
    Question(
        _VALUES,
        "formats.date",
        "dates",
        _named(DatePattern),
        _always(_FORMATS.date),
        applies=_has(AttributeType.DATE),
    ),
    Question(
        _VALUES,
        "formats.moment",
        "moments",
        _named(MOMENT_FORMATS),
        _always(_FORMATS.moment),
        applies=_has(AttributeType.MOMENT),
    ),
    Question(
        _VALUES,
        "formats.values_separator",
        "between several values of a field",
        default=_always(_FORMATS.values_separator),
        applies=_has(AttributeType.STRINGS),
    ),
    Question(
        _VALUES,
        "formats.formulas",
        "texts that a spreadsheet would compute",
        _named(Formulas),
        _always(_FORMATS.formulas),
        applies=_has_text_attribute,
    ),
    Question(
        _FILE,
        "file.separator",
        "between fields",
        _named(separator.name.lower() for separator in Separator),
        _always(_CSV.separator),
    ),
    Question(
        _FILE, "file.compression", "compression", _named(Compression), _always(_CSV.compression)
    ),
    Question(_FILE, "file.name", "the file's name", default=_always(_CSV.name)),
    Question(
        _FILE,
        "file.inner_name",
        "the name of the file in the archive",
        default=_always(USUAL_NAME),
        applies=lambda draft: draft.text("file.compression") == Compression.ZIP,
    ),
    Question(
        _FILE,
        "when_empty",
        "for a window without a line: a file with its header, or the manifest alone",
        _named(WhenEmpty),
        _always(_FIELDS["when_empty"].default),
    ),
    Question(
        _TRANSFER,
        "deliver",
        "where it goes",
        lambda draft: dict.fromkeys(draft.locations, ""),
        _always(", ".join(_FIELDS["deliver"].default)),
        several=True,
    ),
    Question(_TRANSFER, "schedule.at", "the hour of every day, as 06:00"),
    Question(_TRANSFER, "schedule.time_zone", "its time zone, as Europe/Brussels"),
    Question(
        _TRANSFER,
        "schedule.deliver_by",
        "the hour after which it is late, as 08:00",
        default=_always("never late"),
    ),
    Question(
        _TRANSFER,
        "recipients",
        "e-mail addresses that get a report of every run",
        default=_always("nobody"),
        several=True,
    ),
)
"""All questions, in order."""
