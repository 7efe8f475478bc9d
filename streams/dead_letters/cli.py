"""The commands `dead-letters list`, `show` and `replay`."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from schemas.errors import Fault, WrongInputError
from schemas.printing import say, say_json
from schemas.settings.settings import load_settings
from streams.dead_letters import service
from streams.dead_letters.read import Letter
from streams.dead_letters.replay import Replayed
from streams.dead_letters.report import (
    LetterEntry,
    LetterList,
    LetterReplays,
    ShownLetter,
    ShownLetters,
)
from streams.dead_letters.service import LetterFilter
from streams.dead_letters.show import Shown
from streams.moments import moment_text
from streams.setup import Streams

__all__ = ["dead_letters"]

NOT_FOUND = 1
"""Exit code of `show` if there is no such dead letter."""
NOT_ALL = 3
"""Exit code of `replay` if some dead letters would be refused again."""

_ORIGIN: Final = re.compile(r"(?P<topic>[^/]+)/(?P<partition>\d+)/(?P<offset>\d+)")
_LIKE: Final = "write it as `dead-letters list` shows it: TOPIC/PARTITION/OFFSET"

dead_letters = typer.Typer(
    help="Events that can't be used: what was refused and why, and replay after a fix.",
    no_args_is_help=True,
    add_completion=False,
)

_Topic = Annotated[str | None, typer.Option("--topic", help="Of one topic.")]
_Day = Annotated[str | None, typer.Option("--day", help="Of one UTC day of append.")]
_Reason = Annotated[str | None, typer.Option("--reason", help="Whose reason has this text in it.")]
_Config = Annotated[Path | None, typer.Option("--config", help="The settings' file.")]
_AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]


@dead_letters.command("list")
def list_letters(
    topic: _Topic = None,
    day: _Day = None,
    reason: _Reason = None,
    config: _Config = None,
    as_json: _AsJson = False,
) -> None:
    """List refused events by time: their place in Kafka, the reason, and whether replayed."""
    found = service.list_letters(
        Streams.of(load_settings(config)), LetterFilter(topic, _day(day), reason)
    )
    if as_json:
        letters = LetterList(tuple(map(LetterEntry.of, found)))
        say_json(letters.to_json(), indent=2)
    else:
        say(*_listed(found))


@dead_letters.command("show")
def show(origin: str, config: _Config = None, as_json: _AsJson = False) -> None:
    """Show a dead letter: its fields if it can be decoded, personal ones without their values.

    ORIGIN: its place in Kafka, TOPIC/PARTITION/OFFSET. Exits with 1 if there is none.
    """
    _refuse_no_origin([origin])
    shown = service.show_letter(Streams.of(load_settings(config)), origin)
    if as_json:
        letters = ShownLetters(
            tuple(ShownLetter(LetterEntry.of(letter), content) for letter, content in shown)
        )
        say_json(letters.to_json(), indent=2)
    elif shown:
        for letter, content in shown:
            say(*_shown(letter, content))
    else:
        say(f"there is no dead letter {origin}: `dead-letters list` shows them", err=True)
    if not shown:
        raise typer.Exit(NOT_FOUND)


@dead_letters.command("replay")
def replay(
    origins: Annotated[
        list[str] | None, typer.Argument(help="Some of them: TOPIC/PARTITION/OFFSET.")
    ] = None,
    *,
    topic: _Topic = None,
    day: _Day = None,
    reason: _Reason = None,
    everything: Annotated[bool, typer.Option("--all", help="All that there are.")] = False,
    config: _Config = None,
    as_json: _AsJson = False,
) -> None:
    """Publish dead letters again, unchanged and once: those replayed before aren't published again.

    Each counts in the window of its replay. Those that would be refused again are left and listed.
    Exits with 0 if all were replayed, 3 if some are left, 1 if it failed.
    """
    _refuse_no_choice(origins, [topic, day, reason], everything)
    _refuse_no_origin(origins or [])
    wanted = LetterFilter(topic, _day(day), reason, tuple(origins) if origins else None)
    before, done = service.replay_letters(Streams.of(load_settings(config)), wanted)
    if as_json:
        replays = LetterReplays(tuple(letter.origin for letter in before), done)
        say_json(replays.to_json(), indent=2)
    else:
        say(*_replayed(done, len(before)))
    if done.refused:
        raise typer.Exit(NOT_ALL)


def _day(text: str | None) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text is not None else None
    except ValueError:
        raise WrongInputError(
            [Fault("--day", f"'{text}' isn't a day", "write it as 2026-03-28")]
        ) from None


def _refuse_no_choice(
    origins: Sequence[str] | None, filters: Sequence[str | None], everything: bool
) -> None:
    filtered = any(value is not None for value in filters)
    if not origins and not filtered and not everything:
        hint = "name some, or filter by --topic, --day, --reason, or say --all"
        raise WrongInputError([Fault("replay", "says not which dead letters", hint)])
    if everything and (origins or filtered):
        hint = "leave --all out, or the others"
        raise WrongInputError([Fault("--all", "stands beside a choice of some", hint)])


def _refuse_no_origin(origins: Sequence[str]) -> None:
    wrong = [origin for origin in origins if not _ORIGIN.fullmatch(origin)]
    if wrong:
        raise WrongInputError([Fault("ORIGIN", f"'{origin}' isn't one", _LIKE) for origin in wrong])


def _listed(letters: Sequence[Letter]) -> Iterator[str]:
    if not letters:
        yield "no dead letters"
        return
    width = max(len(letter.origin) for letter in letters)
    for letter in letters:
        again = f"  replayed {moment_text(letter.replay.at)}" if letter.replay else ""
        size = f"{letter.size:,} bytes{' (a part)' if letter.is_part else ''}"
        when = moment_text(letter.appended_at)
        yield f"{letter.origin:{width}}  {when}  {size:>15}  {letter.reason}{again}"
    yield ""
    counted = Counter((letter.topic, letter.reason) for letter in letters)
    again_counted = Counter((letter.topic, letter.reason) for letter in letters if letter.replay)
    for (topic, reason), number in sorted(counted.items()):
        done = again_counted[topic, reason]
        yield f"{number:,} of {topic}: {reason}" + (f" ({done:,} replayed)" if done else "")


def _shown(letter: Letter, shown: Shown) -> Iterator[str]:
    yield f"{shown.origin}, appended {moment_text(letter.appended_at)}"
    yield f"  reason  {shown.reason}"
    yield f"  key     {shown.key or '(not an id)'}"
    yield f"  value   {shown.size:,} bytes, sha256 {shown.sha256}"
    if letter.replay is not None:
        place = f"{letter.topic}/{letter.replay.partition}/{letter.replay.offset}"
        yield f"  replayed at {moment_text(letter.replay.at)}, to {place}"
    if shown.kept is not None:
        yield f"  the letter has its first {shown.kept:,} bytes: the event was too large for it"
        yield "  the event itself stands there while its topic keeps it, and replay reads it there"
        return
    if shown.fields is None:
        yield "  can't be decoded: its bytes are not shown"
        return
    for name, value in shown.fields.items():
        yield f"  {name}: {json.dumps(value, default=str, ensure_ascii=False)}"


def _replayed(done: Replayed, before: int) -> Iterator[str]:
    yield from (f"{origin} replayed to {place}" for origin, place in done.replayed.items())
    yield from (f"{origin} left: {why}" for origin, why in done.refused.items())
    counts = [(len(done.replayed), "replayed"), (before, "replayed before")]
    counts += [(len(done.refused), "left, as they would be refused again")]
    yield ", ".join(f"{number:,} {what}" for number, what in counts if number) or "nothing to do"
