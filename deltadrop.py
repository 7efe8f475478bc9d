"""The command line: wires the packages' own commands together, and turns errors into exit codes.

Exit codes: 0 done, 1 failed (run it again), 2 wrong input or definitions, 3 held or blocked.
"""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import structlog
import typer
from typer.core import TyperGroup

from schemas.errors import DeltadropError

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "publish": "producers.cli:publish",
    "topics": "producers.cli:topics",
    "worker": "streams.cli:worker",
    "close": "sinks.cli:close",
    "schedule": "sinks.cli:schedule",
    "status": "sinks.cli:status",
    "validate": "sinks.cli_files:validate",
    "history": "sinks.cli:history",
    "verify": "sinks.cli_files:verify",
}
"""Every command and the function, or Typer app, that is it; imported when it is called for."""


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
            return typer.main.get_command(command)
        alone = typer.Typer(add_completion=False)
        alone.command(cmd_name)(command)
        return typer.main.get_command(alone)


app = typer.Typer(cls=_Commands, no_args_is_help=True, add_completion=False)


@app.callback()
def _deltadrop() -> None:
    """Daily incremental CSV exports of marketing data changes, from Avro events on Kafka."""


def main() -> None:
    """Run the command line; one clear message on stderr and an exit code where it fails."""
    _configure_logs()
    try:
        typer.main.get_command(app)(prog_name="deltadrop")
    except DeltadropError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


def _configure_logs() -> None:
    """Logs go to stderr: for people on a terminal, elsewhere as JSON, a line each.

    A traceback is plain: its frames' values may be somebody's data, and megabytes of it.
    """
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    json_lines = structlog.processors.JSONRenderer()
    on_terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *(() if on_terminal else (structlog.processors.format_exc_info,)),
            console if on_terminal else json_lines,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


if __name__ == "__main__":
    main()
