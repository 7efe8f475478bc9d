"""What all acts of the demo's day share: chance, the clock, the people, and what is yet to come."""

import heapq
from collections.abc import Callable
from datetime import date, timedelta
from random import Random
from typing import Any

from deploy.demo.cast import LIFECYCLE, SUBSCRIPTIONS, Campaign, Profile, campaigns

JsonEvent = dict[str, Any]
"""One event as a line of JSON Lines has it (SPEC §8)."""

Act = Callable[[int], JsonEvent]
"""Something that happens at a moment of the day (milliseconds after its midnight, UTC) and makes
one event.
"""

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

DATABASE = "shop"
POPULATION_SHARE = 0.12
"""Profiles that are there when the day begins, by event of the day."""

LATE_SHARE = 0.02
LATEST = 5 * DAY
NEVER_SEEN_SHARE = 0.003
NEVER_SEEN_FROM = 9_000_000_000
"""Ids of profiles that no event announces."""

_CLOCK = tuple(f"{hour:02}:{minute:02}" for hour in range(24) for minute in range(60))


class _Dates(dict[int, str]):
    """ISO dates by days since the day."""

    def __init__(self, day: date) -> None:
        super().__init__()
        self._day = day

    def __missing__(self, days: int) -> str:
        self[days] = (self._day + timedelta(days=days)).isoformat()
        return self[days]


class Stage:
    """The day's people and clock; everything random comes from one seeded source, in one order."""

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
        """One of the choices, each as likely."""
        return choices[int(self.chance() * len(choices))]

    def anyone(self) -> Profile:
        """A profile of the database, also one that was deleted today."""
        return self.population[int(self.chance() * len(self.population))]

    def someone(self) -> Profile:
        """A living profile; if luck is bad three times, a deleted one (upstream systems are slow to
        hear of it).
        """
        for _ in range(3):
            profile = self.anyone()
            if profile.lives:
                break
        return profile

    def campaign(self, channel: str) -> Campaign:
        """A campaign of the channel, by its share of contacts."""
        campaign: Campaign = self.pick(self._wheels[channel])
        return campaign

    def new_interaction(self) -> int:
        """The next interactionId; those of different days differ."""
        self._interactions += 1
        return self._interactions

    def recipient(self, profile: Profile) -> int:
        """The profile's id, or now and then one that nobody ever announced."""
        if self.chance() < NEVER_SEEN_SHARE:
            return NEVER_SEEN_FROM + int(self.chance() * 1000)
        return profile.id

    def newcomer(self) -> Profile:
        """A profile that wasn't there yet."""
        profile = self._resident(len(self.population) + 1)
        self.population.append(profile)
        return profile

    # Time

    def moment(self, at: int) -> str:
        """ISO 8601, in UTC, of a moment of the day or before or after it."""
        days, rest = divmod(at, DAY)
        minutes, rest = divmod(rest, MINUTE)
        return f"{self._dates[days]}T{_CLOCK[minutes]}:{rest // SECOND:02}.{rest % SECOND:03}Z"

    def shortly_before(self, now: int) -> int:
        """When what is published now occurred: seconds ago mostly, for a few hours or days ago."""
        chance = self.chance()
        if chance < LATE_SHARE:
            return now - int(self.chance() * LATEST)
        return now - int(chance**4 * 20 * SECOND)

    def later(self, at: float, act: Act) -> None:
        """Let the act happen at this moment of the day, if the day's size reaches it."""
        self._scheduled += 1
        heapq.heappush(self._pending, (int(at), self._scheduled, act))

    def due(self, now: int) -> Act | None:
        """The act whose moment has come, earliest first; None if there is none."""
        if self._pending and self._pending[0][0] <= now:
            return heapq.heappop(self._pending)[2]
        return None

    def after(self, mean: int) -> int:
        """A waiting time: short ones are likely, long ones happen."""
        return int(self._random.expovariate(1 / mean))

    # Events

    def event(self, kind: str, event_type: str, at: int, source: str, body: JsonEvent) -> JsonEvent:
        """One event with a new eventId; `at` is when it occurred."""
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
        """A UUID of version 4 (RFC 9562), made of the seeded chance."""
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
