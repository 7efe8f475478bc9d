"""Where the log of a process goes, and how its lines look.

- With a file (`--log`): all of it, as JSON lines. Nothing of it is on stderr.
- Without, and stderr isn't a terminal: all of it on stderr, as JSON lines.
- On a terminal: warnings and errors as sentences, wrapped between words; of a process whose log is
  all that it shows (`steps`), each step. Lines of libraries aren't shown there. Tracebacks go to a
  temporary file, made for the first of them.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from schemas.logins import without_logins
from schemas.one_line import one_line
from schemas.terminal import ERASE_LINE, columns_of, is_terminal, wrapped

if TYPE_CHECKING:
    import structlog

__all__ = ["MESSAGE_FOLLOWS", "configure_logs", "log_name"]

MESSAGE_FOLLOWS: Final = "_message_follows"
"""A field of a log call: its caller makes a message for people of it, so a terminal shows only that
message.
"""

_OURS: Final = ("schemas", "producers", "streams", "sinks", "deploy")
"""Packages whose lines are for people."""

_ABOUT_ITSELF: Final = "blocking the event loop"
"""kafka-python logs its own pace so ("Task … ran for 0.161s"), which says nothing to users."""

_LOG_MODE: Final = 0o640
"""Permissions of a log: its errors may quote values."""


def configure_logs(file: Path | None = None, *, steps: bool = False) -> None:
    """Send our log and the libraries' to where the module's docstring says.

    file: appended to, made if it isn't there; raises OSError if that fails. steps: whether the log
    is all that the process shows. A traceback is written without its frames' values, which may be
    personal data, and megabytes.
    """
    _import_structlog()
    import structlog

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    as_json: list[structlog.typing.Processor] = [
        _without_mark,
        structlog.processors.format_exc_info,
        _take_logins_out,
        structlog.processors.JSONRenderer(),
    ]
    people = file is None and is_terminal(sys.stderr)
    target = sys.stderr if file is None else _opened(file)
    last = [_Sentence(sys.stderr, steps=steps)] if people else as_json
    _Place.name = "the log" if file is None else str(file)
    level = logging.WARNING if people and not steps else logging.INFO
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(target)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove, *last])
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    handler.addFilter(lambda record: _ABOUT_ITSELF not in record.getMessage())
    if people:
        handler.addFilter(lambda record: record.name.partition(".")[0] in _OURS)


def log_name() -> str:
    """Return what to call the log in a message: its file, where it has one."""
    return _Place.name


class _Place:
    """Where this process writes its log; there is one for a process."""

    name = "the log"


class _Sentence:
    """Renders a line of the log for a terminal."""

    def __init__(self, stream: TextIO, *, steps: bool) -> None:
        self._stream = stream
        self._steps = steps
        self._tracebacks: TextIO | None = None

    def __call__(
        self, logger: structlog.typing.WrappedLogger, method: str, line: Mapping[str, Any]
    ) -> str:
        """Return the line as a sentence, with control characters escaped: it may quote servers.

        Raises DropEvent if a message for people follows.
        """
        import structlog

        fields = dict(line)
        follows = fields.pop(MESSAGE_FOLLOWS, False)
        if fields.get("exc_info"):
            fields = self._without_traceback(logger, method, fields)
        if follows:
            raise structlog.DropEvent
        event, level, at = (fields.pop(name, "") for name in ("event", "level", "timestamp"))
        head = f"{at[:19]}Z {level}" if self._steps else str(level)
        details = ", ".join(f"{name} {_shown(value)}" for name, value in fields.items())
        text = f"{head}: {event}" + (f": {details}" if details else "")
        return ERASE_LINE + wrapped(without_logins(one_line(text)), columns_of(self._stream))

    def _without_traceback(
        self, logger: structlog.typing.WrappedLogger, method: str, fields: dict[str, Any]
    ) -> dict[str, Any]:
        """Write the whole line to a file, and return the line that names the file."""
        import structlog

        if self._tracebacks is None:
            made, name = tempfile.mkstemp(prefix="deltadrop-", suffix=".log")
            self._tracebacks = os.fdopen(made, "w", encoding="utf-8")
            _Place.name = name
        whole = structlog.processors.format_exc_info(logger, method, dict(fields))
        whole = _take_logins_out(logger, method, whole)
        self._tracebacks.write(json.dumps(whole, default=str) + "\n")
        self._tracebacks.flush()
        del fields["exc_info"]
        return {**fields, "traceback": f"in {_Place.name}"}


def _without_mark(
    logger: structlog.typing.WrappedLogger, method: str, fields: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    fields.pop(MESSAGE_FOLLOWS, None)
    return fields


def _take_logins_out(
    logger: structlog.typing.WrappedLogger, method: str, fields: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Take the logins of URLs out of a line's texts: they may quote libraries' errors."""
    return {
        name: without_logins(value) if isinstance(value, str) else value
        for name, value in fields.items()
    }


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _opened(file: Path) -> TextIO:
    """Return the file, to append to; raises OSError."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _LOG_MODE)
    return os.fdopen(descriptor, "a", encoding="utf-8", buffering=1)


def _import_structlog() -> None:
    """Import structlog without rich. structlog would import it for tracebacks, which we print
    plainly; that takes a sixth of a command's start.
    """
    if "structlog" in sys.modules or "rich" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # can't be imported (import system, 5.3)
    try:
        import_module("structlog")
    finally:
        del sys.modules["rich"]
