"""The profiles, campaigns and stores of the demo's day.

Most of a profile is computed from its id, so that millions fit in memory. Only values that events
of the day change are stored.
"""

from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from deploy.demo.words import (
    CATEGORIES,
    CITIES,
    FIRST_NAMES,
    HOBBIES,
    LANGUAGES,
    LAST_NAMES,
    MAIL_DOMAINS,
)

CAMPAIGNS = Path(__file__).with_name("campaigns.yaml")

SUBSCRIPTIONS = ("newsletter", "offers", "events")
LIFECYCLE = ("new", "active", "sleeping", "lost")

_SPREAD = 2_654_435_761
"""Knuth's multiplier: it gives neighbouring ids very different people."""


@dataclass(slots=True)
class Profile:
    """One person.

    subscribed: a bit set over SUBSCRIPTIONS. renamed: the number of changes of the e-mail address.
    """

    id: int
    born: int
    subscribed: int
    points: int = 0
    lifecycle: int = 0
    vip: bool = False
    consent: bool | None = None
    renamed: int = 0
    last_purchase: str | None = None
    last_opening: str | None = None
    last_click: str | None = None
    lives: bool = True

    @property
    def _mixed(self) -> int:
        return (self.id * _SPREAD + self.born) & 0xFFFFFFFF

    @property
    def customer_id(self) -> str:
        """The business key."""
        return f"C{self.id:08}"

    @property
    def email(self) -> str | None:
        """The e-mail address; a few profiles have none."""
        mixed = self._mixed
        if mixed % 53 == 0:
            return None
        domain = MAIL_DOMAINS[mixed % len(MAIL_DOMAINS)]
        return (
            f"user{self.id}.{self.renamed}@{domain}" if self.renamed else f"user{self.id}@{domain}"
        )

    @property
    def gsm(self) -> str | None:
        """The mobile number; one profile in seven has none."""
        mixed = self._mixed
        return None if mixed % 7 == 0 else f"+3247{mixed % 10_000_000:07}"

    @property
    def _birth_date(self) -> str:
        mixed = self._mixed
        year, month, day = 1935 + mixed % 70, 1 + mixed // 70 % 12, 1 + mixed // 840 % 28
        return f"{year}-{month:02}-{day:02}"

    def row(self) -> dict[str, Any]:
        """The fields of a profile event about this person."""
        attributes = self.attributes()
        subscribed = [name for bit, name in enumerate(SUBSCRIPTIONS) if self.subscribed >> bit & 1]
        segments = {
            "vip": self.vip,
            "parents": self._mixed % 3 == 0,
            "lifecycle": LIFECYCLE[self.lifecycle],
        }
        row: dict[str, Any] = {
            "attributes": attributes,
            "subscriptions": subscribed,
            "segments": segments,
        }
        if self.consent is not None:
            row["marketingConsent"] = self.consent
        return row

    def attributes(self) -> dict[str, Any]:
        """The attributes of the shop's table that have a value."""
        mixed = self._mixed
        postal_code, city, country = CITIES[mixed % len(CITIES)]
        hobbies = [HOBBIES[mixed % 9], HOBBIES[mixed // 9 % 9]] if mixed % 4 else []
        attributes: dict[str, Any] = {
            "customerId": self.customer_id,
            "emailAddress": self.email,
            "gsmNumber": self.gsm,
            "firstName": FIRST_NAMES[mixed // 7 % len(FIRST_NAMES)],
            "lastName": LAST_NAMES[mixed // 11 % len(LAST_NAMES)],
            "birthDate": self._birth_date,
            "postalCode": postal_code,
            "city": city,
            "country": country,
            "language": LANGUAGES[country],
            "points": self.points,
            "balance": f"{mixed % 50_000 / 100 - 20:.2f}",
            "cardHolder": mixed % 5 == 0,
            "hobbies": hobbies,
            "lastPurchase": self.last_purchase,
            "lastOpening": self.last_opening,
            "lastClick": self.last_click,
        }
        return {name: value for name, value in attributes.items() if value is not None}


@dataclass(slots=True)
class Campaign:
    """One campaign.

    share: its weight among the contacts of its channel. known_from: the hour of the day at which it
    is announced (0: before anything else, None: never). later: its changes by hour of the day.
    """

    id: int
    name: str
    channel: str
    kind: str
    state: str = "ACTIVE"
    engine: str = "CURRENT"
    subscription: str | None = None
    sent_days_ago: float | None = None
    finished_days_ago: float | None = None
    share: int = 1
    known_from: float | None = 0
    later: dict[float, dict[str, Any]] = field(default_factory=dict)

    @property
    def technical_name(self) -> str:
        """The name without blanks and special characters, plus a suffix."""
        plain = "".join(
            letter for letter in self.name.lower() if letter.isascii() and letter.isalnum()
        )
        return f"{plain}_{self.id * 7919 % 46656:04x}"


@cache
def campaigns() -> tuple[Campaign, ...]:
    """Load campaigns of every kind and state, active and inactive ones."""
    listed = yaml.safe_load(CAMPAIGNS.read_text(encoding="utf-8"))
    return tuple(Campaign(**campaign) for campaign in listed)


def store(number: int, day: date) -> dict[str, Any]:
    """The attributes of a store."""
    _, city, _ = CITIES[number % len(CITIES)]
    return {
        "storeCode": f"S{number:03}",
        "name": f"{city} {CATEGORIES[number % len(CATEGORIES)]}",
        "city": city,
        "openedOn": (day - timedelta(days=200 + 97 * number)).isoformat(),
        "latitude": f"{49 + number % 40 / 16:.6f}",
        "longitude": f"{3 + number % 56 / 16:.6f}",
        "openOnSunday": number % 3 == 0,
    }
