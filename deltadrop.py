"""The command line: wires the packages' own commands together, and turns errors into exit codes.

Exit codes: 0 done, 1 failed (run it again), 2 wrong input or definitions, 3 held or blocked, 130
interrupted.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NoReturn

import structlog
import typer
from typer.core import TyperGroup

from schemas.errors import DeltadropError
from schemas.full_disk import FREE_SOME, what_is_full

__all__ = ["COMMANDS", "main", "program"]

COMMANDS = {
    "publish": "producers.cli:publish",
    "topics": "producers.cli:topics",
    "worker": "streams.cli:worker",
    "close": "sinks.commands.closes:close",
    "redrop": "sinks.commands.redrop:redrop",
    "release": "sinks.commands.release:release",
    "pass-over": "sinks.commands.pass_over:pass_over",
    "take-out": "sinks.commands.take_out:take_out",
    "schedule": "sinks.commands.schedule:schedule",
    "status": "sinks.commands.closes:status",
    "validate": "sinks.commands.files:validate",
    "summary": "sinks.commands.exports:summary",
    "preview": "sinks.commands.exports:preview",
    "init-export": "sinks.commands.init_export:init_export",
    "json-schema": "sinks.commands.exports:json_schema",
    "history": "sinks.commands.closes:history",
    "trace": "sinks.commands.trace:trace",
    "dead-letters": "streams.dead_letters.cli:dead_letters",
    "sweep": "sinks.commands.sweep:sweep",
    "erase": "sinks.commands.erase:erase",
    "verify": "sinks.commands.files:verify",
    "check-location": "sinks.commands.locations:check_location",
}
"""Every command and the function, or Typer app, that is it; imported when it is called for."""


_INTERRUPTED = 130
"""Exit code after Ctrl-C, as Typer has it."""


class _Commands(TyperGroup):
    """The commands, each imported when it is called for; what isn't there isn't offered."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name, place in COMMANDS.items() if find_spec(place.split(":")[0])]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.list_commands(ctx):
            return None
        module, name = COMMANDS[cmd_name].split(":")
        command = getattr(import_module(module), name, None)
        if command is None:
            return None
        if isinstance(command, typer.Typer):
            group = typer.main.get_command(command)
            group.name = cmd_name
            return group
        alone = typer.Typer(add_completion=False)
        alone.command(cmd_name)(command)
        return typer.main.get_command(alone)


app = typer.Typer(cls=_Commands, no_args_is_help=True, add_completion=False)


@app.callback()
def _deltadrop() -> None:
    """Daily incremental CSV exports of marketing data changes, from Avro events on Kafka."""


def program() -> NoReturn:
    """Run the command line as a process, which ends once what it wrote is out.

    Without tearing the interpreter down: threads of Arrow's and DuckDB's pools that are still at it
    by then abort the process now and then, after all was done (apache/arrow#34314), and to whoever
    runs a close by night its exit code says whether the drop is there.
    """
    code = 1
    try:
        main()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
        if isinstance(left.code, str):
            print(left.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    logging.shutdown()
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None where it was closed before
        try:
            stream.flush()
        except OSError:  # its reader has gone, or its disk is full
            code = code or 1
    os._exit(code)


def main() -> None:
    """Run the command line; one clear message on stderr and an exit code where it fails."""
    _configure_logs()
    try:
        typer.main.get_command(app)(prog_name="deltadrop")
    except DeltadropError as error:
        _tell(error)
        sys.exit(error.exit_code)
    except Exception as error:
        refused = _refused(error)
        if refused is None:
            raise
        _tell(refused)
        sys.exit(refused.exit_code)
    except SystemExit as left:
        if left.code == _INTERRUPTED:
            print("interrupted; running it again is safe", file=sys.stderr)
        raise


def _tell(error: DeltadropError) -> None:
    """Say it to people on stderr; where --json asks for it, to scripts on stdout too."""
    print(error, file=sys.stderr)
    try:
        if "--json" in sys.argv:
            print(json.dumps({"error": error.to_fields()}, ensure_ascii=False))
        sys.stdout.flush()
    except OSError:  # what is left for stdout, which can't take it, goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refused(error: Exception) -> DeltadropError | None:
    """What the machine refused, and of which file, if it says so; None where it's none of that."""
    full = what_is_full(error)
    if full is not None:
        return DeltadropError(full, hint=FREE_SOME)
    if not isinstance(error, OSError):
        return None
    named = error.filename is not None
    return DeltadropError(error.strerror or str(error), where=str(error.filename) if named else "")


def _configure_logs() -> None:
    """Logs, ours and the libraries', go to stderr: as text on a terminal, elsewhere as JSON lines.

    A traceback is plain: its frames' values may be somebody's data, and megabytes of it.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if sys.stderr.isatty()
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove, *last])
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


if __name__ == "__main__":
    program()
