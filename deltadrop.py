"""The command line: wires the packages' own commands together, and turns errors into exit codes.

Exit codes: 0 done, 1 failed (run it again), 2 wrong input or definitions, 3 held or blocked, 4 not
yet (`status --wait`), 130 interrupted.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from schemas.errors import DeltadropError
from schemas.full_disk import FREE_SOME, what_is_full
from schemas.logs import MESSAGE_FOLLOWS, configure_logs, log_name
from schemas.printing import say, say_json, say_text
from schemas.terminal import is_terminal

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
    "schemas": Command(
        "producers.schemas_cli:schemas",
        "The events' Avro schemas, for publishers in other languages.",
    ),
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
        "sinks.commands.validate:validate",
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
        "sinks.commands.verify:verify",
        "Check a drop against its manifest: hash, size, header, columns, rows, dialect.",
    ),
    "check-location": Command(
        "sinks.commands.locations:check_location",
        "Go through a delivery step by step, with a small file that is removed again.",
    ),
}
"""Every command, by its name."""

_SHOW_STEPS: Final = frozenset({"schedule", "worker"})
"""Commands whose log is all that they show: on a terminal, each step."""

_LogFile = Annotated[
    Path | None, typer.Option("--log", help="Append the log to this file, as JSON lines.")
]

_LISTED: Final = "deltadrop.listed"
"""Key in the context while help is written: then commands are listed, not called."""

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
        steps = cmd_name in _SHOW_STEPS
        command = getattr(import_module(module), name)
        if isinstance(command, typer.Typer):
            for each in command.registered_commands:
                if each.callback is not None:
                    each.callback = _with_log(each.callback, steps)
            group = typer.main.get_command(command)
            group.name = cmd_name
            return group
        alone = typer.Typer(add_completion=False)
        alone.command(cmd_name)(_with_log(command, steps))
        return typer.main.get_command(alone)


def _with_log(function: Callable[..., None], steps: bool) -> Callable[..., None]:
    """Return a command with the option `--log`. steps: whether its log is all that it shows."""
    signature = inspect.signature(function, eval_str=True)
    if "log" in signature.parameters:
        return function

    @functools.wraps(function)
    def logging_command(*arguments: Any, log: Path | None, **options: Any) -> None:
        if log is not None or (steps and is_terminal(sys.stderr)):
            configure_logs(log, steps=steps)
        function(*arguments, **options)

    added = inspect.Parameter(
        "log", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_LogFile
    )
    extended = signature.replace(parameters=[*signature.parameters.values(), added])
    logging_command.__signature__ = extended  # type: ignore[attr-defined]  # what Typer reads
    return logging_command


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
            say_text(left.code, err=True)
    except BaseException as error:
        say_text("".join(traceback.format_exception(error)).rstrip(), err=True)
    logging.shutdown()
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None if it was closed before
        try:
            stream.flush()
        except OSError:  # the reader is gone, or the disk is full
            code = code or 1
    os._exit(code)


def main() -> None:
    """Run the command line; if it fails, print one clear message on stderr and set the code."""
    configure_logs()
    try:
        typer.main.get_command(app)(prog_name="deltadrop")
    except DeltadropError as error:
        _tell(error)
        sys.exit(error.exit_code)
    except Exception as error:
        refused = _refused(error) or _unforeseen(error)
        _tell(refused)
        sys.exit(refused.exit_code)
    except SystemExit as left:
        if left.code == _INTERRUPTED:
            say("interrupted; running it again is safe", err=True)
        raise


def _tell(error: DeltadropError) -> None:
    """Print an error for people on stderr; with --json, for scripts on stdout too."""
    say_text(error, err=True)
    try:
        if "--json" in sys.argv:
            say_json({"error": error.to_fields()})
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


def _unforeseen(error: Exception) -> DeltadropError:
    """Log an error that has no class of its own, and return its message."""
    import structlog

    structlog.get_logger("deltadrop").exception("failed unforeseen", **{MESSAGE_FOLLOWS: True})
    what = f"failed unforeseen: {type(error).__name__}: {error}"
    return DeltadropError(what, hint=f"{log_name()} has the details; please report it")


if __name__ == "__main__":
    program()
