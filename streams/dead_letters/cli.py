"""The commands `dead-letters list`, `show` and `replay`."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from schemas.definitions.definitions import choices
from schemas.errors import Fault, WrongInputError
from schemas.registry.registry import Registry
from schemas.settings.settings import load_settings
from schemas.topics import dead_letter_topic
from streams.dead_letters.read import Letter, LetterReader, identity_of
from streams.dead_letters.replay import Replayed, Replayer
from streams.dead_letters.show import Shown, Usable
from streams.reading.records import moment_of, moment_text
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


@dataclass(frozen=True, slots=True)
class _Filter:
    """A choice of dead letters; None in a field lets all pass."""

    topic: str | None = None
    day: dt.date | None = None
    reason: str | None = None
    origins: frozenset[str] | None = None

    def of(self, letters: Iterable[Letter]) -> list[Letter]:
        """The letters that the filter lets pass."""
        return [letter for letter in letters if self._means(letter)]

    def _means(self, letter: Letter) -> bool:
        return (
            self.topic in (None, letter.topic)
            and self.day in (None, moment_of(letter.appended_at).date())
            and (self.reason or "").casefold() in letter.reason.casefold()
            and (self.origins is None or letter.origin in self.origins)
        )


@dead_letters.command("list")
def list_letters(
    topic: _Topic = None,
    day: _Day = None,
    reason: _Reason = None,
    config: _Config = None,
    as_json: _AsJson = False,
) -> None:
    """List refused events by time: their place in Kafka, the reason, and whether replayed."""
    streams = Streams.of(load_settings(config))
    found = _filter(streams, topic, day, reason).of(_reader(streams).letters())
    if as_json:
        typer.echo(json.dumps({"dead_letters": [_as_dict(letter) for letter in found]}, indent=2))
    else:
        typer.echo("\n".join(_listed(found)))


@dead_letters.command("show")
def show(origin: str, config: _Config = None, as_json: _AsJson = False) -> None:
    """Show a dead letter: its fields if it can be decoded, personal ones without their values.

    ORIGIN: its place in Kafka, TOPIC/PARTITION/OFFSET. Exits with 1 if there is none.
    """
    _refuse_no_origin([origin])
    streams = Streams.of(load_settings(config))
    reader = _reader(streams)
    found = _Filter(origins=frozenset([origin])).of(reader.letters())
    by_identity = {letter.identity: letter for letter in found}
    usable = _usable(streams)
    whole = [(identity_of(event), event) for event in reader.whole(by_identity)] if found else []
    shown = [(by_identity[identity], usable.shown(event)) for identity, event in whole]
    if as_json:
        fields = [{**_as_dict(letter), **asdict(content)} for letter, content in shown]
        typer.echo(json.dumps({"dead_letters": fields}, indent=2, default=str))
    elif shown:
        for letter, content in shown:
            typer.echo("\n".join(_shown(letter, content)))
    else:
        typer.echo(f"there is no dead letter {origin}: `dead-letters list` shows them", err=True)
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
    streams = Streams.of(load_settings(config))
    wanted = _filter(streams, topic, day, reason, origins)
    found = wanted.of(_reader(streams).letters())
    _refuse_unknown(origins or [], found)
    before = [letter for letter in found if letter.replay is not None]
    replayer = Replayer(_topic(streams), streams.settings.kafka, _usable(streams))
    left = [letter for letter in found if letter.replay is None]
    done = replayer.replay(left) if left else Replayed()
    if as_json:
        fields = {"replayed_before": [letter.origin for letter in before], **asdict(done)}
        typer.echo(json.dumps(fields, indent=2))
    else:
        typer.echo("\n".join(_replayed(done, len(before))))
    if done.refused:
        raise typer.Exit(NOT_ALL)


def _topic(streams: Streams) -> str:
    return dead_letter_topic(streams.settings.kafka.topic_prefix)


def _reader(streams: Streams) -> LetterReader:
    return LetterReader(_topic(streams), streams.settings.kafka)


def _usable(streams: Streams) -> Usable:
    return Usable(Registry(streams.settings.registry), streams.topics, streams.catalog)


def _filter(
    streams: Streams,
    topic: str | None,
    day: str | None,
    reason: str | None,
    origins: Sequence[str] | None = None,
) -> _Filter:
    if topic is not None and topic not in streams.topics:
        hint = choices(topic, sorted(streams.topics))
        raise WrongInputError([Fault("--topic", f"there is no topic '{topic}'", hint)])
    try:
        on = dt.date.fromisoformat(day) if day is not None else None
    except ValueError:
        raise WrongInputError(
            [Fault("--day", f"'{day}' isn't a day", "write it as 2026-03-28")]
        ) from None
    return _Filter(topic, on, reason, frozenset(origins) if origins else None)


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


def _refuse_unknown(origins: Sequence[str], found: Iterable[Letter]) -> None:
    known = {letter.origin for letter in found}
    unknown = [origin for origin in origins if origin not in known]
    if unknown:
        hint = "`dead-letters list` shows what there is; nothing was replayed"
        raise WrongInputError(
            [Fault(origin, "there is no such dead letter", hint) for origin in unknown]
        )


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


def _as_dict(letter: Letter) -> dict[str, Any]:
    appended_at = moment_text(letter.appended_at)
    fields = {**asdict(letter), "origin": letter.origin, "appended_at": appended_at}
    if letter.replay is not None:
        fields["replay"] = {**asdict(letter.replay), "at": moment_text(letter.replay.at)}
    return fields
