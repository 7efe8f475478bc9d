"""The shared state of all acts of the demo's day: chance, clock, people, and scheduled acts."""

import heapq
from collections.abc import Callable
from datetime import date, timedelta
from random import Random
from typing import Any

from deploy.demo.cast import LIFECYCLE, SUBSCRIPTIONS, Campaign, Profile, campaigns

JsonEvent = dict[str, Any]
"""One event, as in a line of JSON Lines (SPEC §8)."""

Act = Callable[[int], JsonEvent]
"""Makes one event at a moment of the day (milliseconds after its midnight, UTC)."""

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

DATABASE = "shop"
POPULATION_SHARE = 0.12
"""Profiles that exist when the day begins, per event of the day."""

LATE_SHARE = 0.02
LATEST = 5 * DAY
NEVER_SEEN_SHARE = 0.003
NEVER_SEEN_FROM = 9_000_000_000
"""The first id of profiles that no event creates."""

_CLOCK = tuple(f"{hour:02}:{minute:02}" for hour in range(24) for minute in range(60))


class _Dates(dict[int, str]):
    """ISO dates, by the number of days since the demo's day."""

    def __init__(self, day: date) -> None:
        super().__init__()
        self._day = day

    def __missing__(self, days: int) -> str:
        self[days] = (self._day + timedelta(days=days)).isoformat()
        return self[days]


class Stage:
    """The day's people and clock; one seeded generator gives all randomness, in a fixed order."""

    def __init__(self, seed: int, size: int, day: date) -> None:
        self.day = day
        self._random = Random(f"{seed}/{size}/{day}")
        self.chance = self._random.random
        self._dates = _Dates(day)
        self._pending: list[tuple[int, int, Act]] = []
        self._scheduled = 0
        self._interactions = day.toordinal() * 1_000_000_000
        self.population = [
            self._resident(number) for number in range(1, int(size * POPULATION_SHARE) + 2)
        ]
        self.campaigns = campaigns()
        self._wheels = {
            channel: tuple(
                campaign
                for campaign in self.campaigns
                if campaign.channel == channel
                for _ in range(campaign.share)
            )
            for channel in {campaign.channel for campaign in self.campaigns}
        }

    def _resident(self, number: int) -> Profile:
        chance = self.chance
        return Profile(
            id=number,
            born=int(chance() * 2**32),
            subscribed=int(chance() * 2 ** len(SUBSCRIPTIONS)),
            points=int(chance() * 3000),
            lifecycle=int(chance() * len(LIFECYCLE)),
            vip=chance() < 0.05,
            consent=None if chance() < 0.2 else chance() < 0.7,
        )

    # Chance

    def pick(self, choices: tuple[Any, ...]) -> Any:
        """One of the choices, with equal probability."""
        return choices[int(self.chance() * len(choices))]

    def anyone(self) -> Profile:
        """A random profile of the database; it may have been deleted today."""
        return self.population[int(self.chance() * len(self.population))]

    def someone(self) -> Profile:
        """A random living profile; after three misses a deleted one, as upstream systems learn of
        deletions late.
        """
        for _ in range(3):
            profile = self.anyone()
            if profile.lives:
                break
        return profile

    def campaign(self, channel: str) -> Campaign:
        """A random campaign of the channel, weighted by its share."""
        campaign: Campaign = self.pick(self._wheels[channel])
        return campaign

    def new_interaction(self) -> int:
        """The next interactionId; ids of different days differ."""
        self._interactions += 1
        return self._interactions

    def recipient(self, profile: Profile) -> int:
        """The profile's id, or rarely an id that no event creates."""
        if self.chance() < NEVER_SEEN_SHARE:
            return NEVER_SEEN_FROM + int(self.chance() * 1000)
        return profile.id

    def newcomer(self) -> Profile:
        """A new profile, which is added to the population."""
        profile = self._resident(len(self.population) + 1)
        self.population.append(profile)
        return profile

    # Time

    def moment(self, at: int) -> str:
        """A moment in ISO 8601, UTC; at: milliseconds after the day's midnight, or negative."""
        days, rest = divmod(at, DAY)
        minutes, rest = divmod(rest, MINUTE)
        return f"{self._dates[days]}T{_CLOCK[minutes]}:{rest // SECOND:02}.{rest % SECOND:03}Z"

    def shortly_before(self, now: int) -> int:
        """When an event published at `now` occurred: mostly seconds ago, rarely hours or days."""
        chance = self.chance()
        if chance < LATE_SHARE:
            return now - int(self.chance() * LATEST)
        return now - int(chance**4 * 20 * SECOND)

    def later(self, at: float, act: Act) -> None:
        """Schedule an act at a moment of the day; it happens if the day has enough events."""
        self._scheduled += 1
        heapq.heappush(self._pending, (int(at), self._scheduled, act))

    def due(self, now: int) -> Act | None:
        """Take the earliest scheduled act that is due; None if there is none."""
        if self._pending and self._pending[0][0] <= now:
            return heapq.heappop(self._pending)[2]
        return None

    def after(self, mean: int) -> int:
        """A random waiting time with this mean (exponential distribution)."""
        return int(self._random.expovariate(1 / mean))

    # Events

    def event(self, kind: str, event_type: str, at: int, source: str, body: JsonEvent) -> JsonEvent:
        """An event with a new eventId; at: the moment when it occurred."""
        return {
            "kind": kind,
            "eventId": self._uuid(),
            "eventType": event_type,
            "database": DATABASE,
            "source": source,
            "occurredAt": self.moment(at),
            **body,
        }

    def _uuid(self) -> str:
        """A UUID of version 4 (RFC 9562), from the seeded generator."""
        digits = f"{self._random.getrandbits(128):032x}"
        variant = "89ab"[int(digits[16], 16) & 3]
        groups = (
            digits[:8],
            digits[8:12],
            "4" + digits[13:16],
            variant + digits[17:20],
            digits[20:],
        )
        return "-".join(groups)
