"""An export as its YAML file declares it (SPEC §4)."""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from tests.model.exports import Export, Formats
from tests.model.tables import Database, Table

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t"}


def export_of(
    document: Mapping[str, Any],
    database: Database,
    topic_prefix: str = "deltadrop",
    tables: Mapping[str, Table] = {},
) -> Export:
    """The export of a definition; `document` is the YAML as loaded, `tables` the database's."""
    chosen = [_choice(one) for one in document.get("columns", ())]
    return Export(
        type=document["type"],
        event_type=document["event"],
        database=database,
        columns=tuple(column for column, _ in chosen),
        headers={column: header for column, header in chosen if header is not None},
        time_zone=ZoneInfo(document["schedule"]["time_zone"]),
        formats=_formats(document.get("formats", {}), document.get("file", {})),
        topic_prefix=topic_prefix,
        table=tables[document["table"]] if "table" in document else None,
        sources=tuple(document.get("sources", ())),
    )


def _choice(column: str | Mapping[str, str]) -> tuple[str, str | None]:
    """A chosen column and its new header, if it gets one."""
    return (column, None) if isinstance(column, str) else (column["column"], column.get("header"))


def _formats(formats: Mapping[str, str], file: Mapping[str, str]) -> Formats:
    defaults = Formats()
    yes, no = formats.get("boolean", f"{defaults.yes}/{defaults.no}").split("/")
    return Formats(
        yes=yes,
        no=no,
        date=formats.get("date", defaults.date),
        moment=formats.get("moment", defaults.moment),
        between_values=formats.get("values_separator", defaults.between_values),
        escapes_formulas=formats.get("formulas") == "escape",
        separator=SEPARATORS[file.get("separator", "comma")],
    )
