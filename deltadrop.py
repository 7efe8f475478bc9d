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
from typing import Any, Final, NamedTuple, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from schemas.errors import DeltadropError
from schemas.full_disk import FREE_SOME, what_is_full

__all__ = ["COMMANDS", "Command", "main", "program"]


class Command(NamedTuple):
    """A command: its function or Typer app, as MODULE:NAME, and the first sentence of its help. So
    a list of commands imports none of them.
    """

    place: str
    summary: str


COMMANDS: Final = {
    "publish": Command(
        "producers.cli:publish",
        "Publish events from JSON Lines; if any line is wrong, nothing is sent.",
    ),
    "topics": Command("producers.cli:topics", "Create and check the Kafka topics."),
    "worker": Command(
        "streams.cli:worker", "Store events from Kafka in daily partitions, until SIGTERM."
    ),
    "close": Command(
        "sinks.commands.closes:close",
        "Close every due window that isn't closed yet, oldest first; or the one that ends at --at.",
    ),
    "redrop": Command(
        "sinks.commands.redrop:redrop",
        "Make a drop again from what its close decided, and deliver it again where it is missing.",
    ),
    "release": Command(
        "sinks.commands.release:release",
        "Send a drop that is held, and record why; with the same bytes as it was made.",
    ),
    "pass-over": Command(
        "sinks.commands.pass_over:pass_over",
        "Let a partition that is set aside go on without the offsets that can't be read, for good.",
    ),
    "take-out": Command(
        "sinks.commands.take_out:take_out",
        "Take out stored rows that can't be read, so that closes go on without them; record why.",
    ),
    "schedule": Command(
        "sinks.commands.schedule:schedule",
        "Run closes as they fall due, those that were missed first, until SIGTERM.",
    ),
    "status": Command(
        "sinks.commands.status:status",
        "Show what is due, what it waits for or what holds it, and what settles that.",
    ),
    "validate": Command(
        "sinks.commands.files:validate",
        "Check the settings and all definitions of tables, streams and exports.",
    ),
    "summary": Command(
        "sinks.commands.exports:summary",
        "Show what an export is: general data, target group, data, parameters.",
    ),
    "preview": Command(
        "sinks.commands.exports:preview",
        "Show ten lines of an export as they would come out now; nothing is changed.",
    ),
    "init-export": Command(
        "sinks.commands.init_export:init_export",
        "Write an export's definition: asks for what no flag says, and shows its summary.",
    ),
    "json-schema": Command(
        "sinks.commands.exports:json_schema",
        "Write JSON Schemas of table, stream and export files: editors complete and check by them.",
    ),
    "history": Command(
        "sinks.commands.status:history",
        "Show what was closed, newest last: window, file, rows, holds, releases and revisions.",
    ),
    "trace": Command(
        "sinks.commands.trace:trace",
        "Show where an event, or those of a profile, went: drops, or the rule that left it out.",
    ),
    "dead-letters": Command(
        "streams.dead_letters.cli:dead_letters",
        "Events that can't be used: what was refused and why, and replay after a fix.",
    ),
    "sweep": Command(
        "sinks.commands.sweep:sweep",
        "Finish what killed runs have left half done, and remove what they left lying about.",
    ),
    "erase": Command(
        "sinks.commands.erase:erase",
        "Erase the personal data of profiles whose deletion was recorded, and say what was erased.",
    ),
    "verify": Command(
        "sinks.commands.files:verify",
        "Check a drop against its manifest: hash, size, header, columns, rows, dialect.",
    ),
    "check-location": Command(
        "sinks.commands.locations:check_location",
        "Go through a delivery step by step, with a small file that is removed again.",
    ),
}
"""Every command, by its name."""

_LISTED: Final = "deltadrop.listed"
"""Key in the context while help is written: then commands are listed, not called."""

_ABOUT_ITSELF: Final = "blocking the event loop"
"""kafka-python logs its own pace so ("Task … ran for 0.161s"), which users don't need."""

_INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, the same as Typer's."""


class _Commands(TyperGroup):
    """The commands, each imported when it is called. Those of missing packages aren't listed."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name, command in COMMANDS.items() if find_spec(_package(command))]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        ctx.meta[_LISTED] = True
        super().format_help(ctx, formatter)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.list_commands(ctx):
            return None
        if ctx.meta.get(_LISTED):
            return TyperCommand(cmd_name, help=COMMANDS[cmd_name].summary)
        module, name = COMMANDS[cmd_name].place.split(":")
        command = getattr(import_module(module), name)
        if isinstance(command, typer.Typer):
            group = typer.main.get_command(command)
            group.name = cmd_name
            return group
        alone = typer.Typer(add_completion=False)
        alone.command(cmd_name)(command)
        return typer.main.get_command(alone)


def _package(command: Command) -> str:
    """Return a command's package: a search for its module would import the package."""
    return command.place.partition(".")[0]


app = typer.Typer(cls=_Commands, no_args_is_help=True, add_completion=False)


@app.callback()
def _deltadrop() -> None:
    """Daily incremental CSV exports of marketing data changes, from Avro events on Kafka."""


def program() -> NoReturn:
    """Run the command line as a process; exit when all output is written.

    The interpreter isn't shut down in order. Threads of Arrow's and DuckDB's pools that still run
    sometimes abort the process then, after all work was done (apache/arrow#34314). The exit code of
    a close must say whether the drop was delivered.
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
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None if it was closed before
        try:
            stream.flush()
        except OSError:  # the reader is gone, or the disk is full
            code = code or 1
    os._exit(code)


def main() -> None:
    """Run the command line; if it fails, print one clear message on stderr and set the code."""
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
    """Print an error for people on stderr; with --json, for scripts on stdout too."""
    print(error, file=sys.stderr)
    try:
        if "--json" in sys.argv:
            print(json.dumps({"error": error.to_fields()}, ensure_ascii=False))
        sys.stdout.flush()
    except OSError:  # stdout takes no more: discard the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refused(error: Exception) -> DeltadropError | None:
    """Return the system's error, with its file if known; None for other errors."""
    full = what_is_full(error)
    if full is not None:
        return DeltadropError(full, hint=FREE_SOME)
    if not isinstance(error, OSError):
        return None
    named = error.filename is not None
    return DeltadropError(error.strerror or str(error), where=str(error.filename) if named else "")


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


def _configure_logs() -> None:
    """Send our logs and the libraries' to stderr: as text on a terminal, elsewhere as JSON lines.

    A traceback is printed without its frames' values, which may be personal data, and megabytes.
    """
    _import_structlog()
    import structlog

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
    handler.addFilter(lambda record: _ABOUT_ITSELF not in record.getMessage())


if __name__ == "__main__":
    program()
