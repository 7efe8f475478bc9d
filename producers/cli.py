"""The commands `publish` and `topics create|check`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Annotated, TypeAlias

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from producers.jsonl import PublishOutcome, publish_lines, publish_right_lines
from producers.lines import bounded_lines
from producers.publisher import Publisher
from producers.topics import TopicKeeper, TopicsReport, wanted_topics
from schemas.errors import Fault, WrongInputError
from schemas.printing import say, say_json
from schemas.settings.settings import Settings, load_settings
from schemas.tables import load_catalog

__all__ = ["publish", "topics"]

Config: TypeAlias = Annotated[Path | None, typer.Option(help="The settings' file.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="For scripts.")]

_STDIN = Path("-")
_TELL_SECONDS = 5.0
"""Seconds between two plain lines of progress, if there is no terminal."""

Report: TypeAlias = Callable[[str, int], None]


def publish(
    file: Annotated[Path, typer.Argument(help="JSON Lines, one event a line; - reads stdin.")],
    config: Config = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Send the right lines, whatever the others are.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Publish events from JSON Lines; if any line is wrong, nothing is sent.

    Exits with 0 if every line was sent, 2 if lines were wrong, with a line for each, 1 if Kafka or
    the registry failed.
    """
    settings = load_settings(config)
    try:
        with _opened(file) as lines, _progress(as_json) as report:
            outcome = _published(settings, lines, str(file), keep_going, report)
    except WrongInputError as error:
        if not as_json:
            raise
        say_json(asdict(PublishOutcome(refused=len(error.faults), faults=list(error.faults))))
        raise typer.Exit(error.exit_code) from error
    if as_json:
        say_json(asdict(outcome))
    else:
        say(_sent(outcome.sent))
    if outcome.refused and as_json:
        raise typer.Exit(WrongInputError.exit_code)
    outcome.raise_if_refused()


def _published(
    settings: Settings, file: IO[bytes], name: str, keep_going: bool, report: Report
) -> PublishOutcome:
    lines = bounded_lines(file)
    catalog = load_catalog(settings.tables)
    prefix = settings.kafka.topic_prefix

    def connect() -> Publisher:
        return Publisher(settings, settings.registry, catalog)

    if not keep_going:
        return publish_lines(lines, name, catalog, prefix, connect, report)
    with connect() as publisher:
        return publish_right_lines(lines, name, catalog, prefix, publisher, report)


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    if file == _STDIN:
        if sys.stdin is None:
            hint = "give it lines (`… | deltadrop publish -`), or name a file"
            raise WrongInputError([Fault("-", "standard input is closed", hint)])
        yield sys.stdin.buffer
        return
    if file.is_dir():
        hint = "name a file of events, or - for standard input"
        raise WrongInputError([Fault(str(file), "is a folder, not a file", hint)])
    try:
        lines = file.open("rb")
    except OSError as error:
        raise WrongInputError([Fault(str(file), f"can't be read: {error.strerror}")]) from error
    with lines:
        yield lines


@contextmanager
def _progress(as_json: bool) -> Iterator[Report]:
    """Show progress on stderr: a line that changes on a terminal, else some plain lines."""
    if as_json:
        yield lambda step, done: None
    elif sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task("reading", total=None)
            yield lambda step, done: bars.update(task, description=f"{done:,} events {step}")
    else:
        yield _PlainLines()


class _PlainLines:
    def __init__(self) -> None:
        self._next = time.monotonic() + _TELL_SECONDS

    def __call__(self, step: str, done: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _TELL_SECONDS
            say(f"{done} events {step}", err=True)


def _sent(events: int) -> str:
    return "1 event sent" if events == 1 else f"{events} events sent"


topics = typer.Typer(
    help="Create and check the Kafka topics.", no_args_is_help=True, add_completion=False
)


@topics.command()
def create(config: Config = None, as_json: AsJson = False) -> None:
    """Create the topics that are missing, then check all of them."""
    settings = load_settings(config)
    names = wanted_topics(load_catalog(settings.tables), settings.kafka)
    with TopicKeeper(settings.kafka) as keeper:
        _print_topics(keeper.create(names), as_json)


@topics.command()
def check(config: Config = None, as_json: AsJson = False) -> None:
    """Check that the topics exist and have the right settings; exits with 1 if one hasn't."""
    settings = load_settings(config)
    names = wanted_topics(load_catalog(settings.tables), settings.kafka)
    with TopicKeeper(settings.kafka) as keeper:
        _print_topics(keeper.check(names), as_json)


def _print_topics(report: TopicsReport, as_json: bool) -> None:
    if as_json:
        say_json({"right": not report.wrong, **asdict(report)})
        if report.wrong:
            raise typer.Exit(1)
        return
    for warning in report.warnings():
        say(warning, err=True)
    report.raise_if_wrong()
    say(f"all is well: {len(report.created)} topics created, {len(report.present)} there")
