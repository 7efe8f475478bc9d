"""A realistic day of a shop's events, the same for the same seed, size and day.

    for event in day_of_events(seed=7, size=200_000, day=date(2026, 3, 28)):
        ...

yields dictionaries that `deltadrop publish` can read (SPEC §8), in the order in which the upstream
systems publish them. First come the campaigns, stores, profiles and cards from before the day. Then
the day passes, from midnight to midnight UTC for any size: e-mails and the reactions to them,
people who are created, changed, deleted and created again, late events, and events that are
published twice.
"""

from collections.abc import Iterator
from datetime import date
from itertools import islice

from deploy.demo.mail import Mail
from deploy.demo.other import Announcements, Files, Tables, Texts
from deploy.demo.people import People
from deploy.demo.stage import DAY, Act, JsonEvent, Stage

REPEAT_SHARE = 0.004
REMEMBERED = 1024
"""Number of latest events from which a repeat is chosen."""


def day_of_events(seed: int, size: int, day: date) -> Iterator[JsonEvent]:
    """Yield exactly `size` events; up to a sixth of them load what existed before the day."""
    stage = Stage(seed, size, day)
    return islice(_with_repeats(stage, _in_order(stage, size)), size)


def _in_order(stage: Stage, size: int) -> Iterator[JsonEvent]:
    tables = Tables(stage)
    day = size
    for event in _before_the_day(stage, tables):
        day -= 1
        yield event
    acts = _acts(stage, tables)
    for number in range(day):
        now = number * DAY // day
        act = stage.due(now) or acts[int(stage.chance() * len(acts))]
        yield act(now)


def _before_the_day(stage: Stage, tables: Tables) -> Iterator[JsonEvent]:
    yield from Announcements(stage).before_the_day()
    yield from tables.loaded()
    people = People(stage)
    for profile in stage.population:
        yield people.loaded(profile)


def _acts(stage: Stage, tables: Tables) -> tuple[Act, ...]:
    """All acts that may come next; an act occurs as often as its weight says."""
    mail, texts, files, people = Mail(stage), Texts(stage), Files(stage), People(stage)
    shares: tuple[tuple[int, Act], ...] = (
        (320, mail.sent),
        (25, mail.not_sent),
        (45, mail.reaction_to_an_earlier_day),
        (45, people.created),
        (85, people.updated),
        (9, people.deleted),
        (30, people.subscribed),
        (30, people.moved_between_segments),
        (15, people.consented),
        (65, texts.sent),
        (50, files.generated),
        (90, tables.purchased),
        (30, tables.card_changed),
        (2, tables.store_changed),
    )
    return tuple(act for share, act in shares for _ in range(share))


def _with_repeats(stage: Stage, events: Iterator[JsonEvent]) -> Iterator[JsonEvent]:
    """Yield the events with some repeats, as if a publisher got no acknowledgement and retried."""
    remembered: list[JsonEvent] = []
    for number, event in enumerate(events):
        yield event
        if len(remembered) < REMEMBERED:
            remembered.append(event)
        else:
            remembered[number % REMEMBERED] = event
        if stage.chance() < REPEAT_SHARE:
            yield remembered[int(stage.chance() * len(remembered))]
