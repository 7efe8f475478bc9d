"""Who takes part in the demo's day: profiles, campaigns, stores.

Most of a profile follows from its id, so that millions fit in memory; what an event of the day
changes is kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from deploy.demo.words import (
    CATEGORIES,
    CITIES,
    FIRST_NAMES,
    HOBBIES,
    LANGUAGES,
    LAST_NAMES,
    MAIL_DOMAINS,
)

SUBSCRIPTIONS = ("newsletter", "offers", "events")
LIFECYCLE = ("new", "active", "sleeping", "lost")

_SPREAD = 2_654_435_761
"""Knuth's multiplier: neighbouring ids get unlike people."""


@dataclass(slots=True)
class Profile:
    """One person. `subscribed` is a bit set over SUBSCRIPTIONS; `renamed` counts changes of the
    e-mail address.
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
        """A few have none."""
        mixed = self._mixed
        if mixed % 53 == 0:
            return None
        domain = MAIL_DOMAINS[mixed % len(MAIL_DOMAINS)]
        return (
            f"user{self.id}.{self.renamed}@{domain}" if self.renamed else f"user{self.id}@{domain}"
        )

    @property
    def gsm(self) -> str | None:
        """The mobile number; one in seven has none."""
        mixed = self._mixed
        return None if mixed % 7 == 0 else f"+3247{mixed % 10_000_000:07}"

    @property
    def _birth_date(self) -> str:
        mixed = self._mixed
        year, month, day = 1935 + mixed % 70, 1 + mixed // 70 % 12, 1 + mixed // 840 % 28
        return f"{year}-{month:02}-{day:02}"

    def row(self) -> dict[str, Any]:
        """All that a profile event says of the person."""
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
        """The attributes of the shop's table that are filled."""
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
    """One campaign. `share` weighs how often the day's contacts are of it; `known_from` is the hour
    of the day at which it is announced (0: before anything else, None: never); `later` are its
    changes by hour of the day.
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
        """The name without blanks and specials, plus a suffix."""
        plain = "".join(
            letter for letter in self.name.lower() if letter.isascii() and letter.isalnum()
        )
        return f"{plain}_{self.id * 7919 % 46656:04x}"


def campaigns() -> Iterator[Campaign]:
    """Campaigns of every kind and state: those that count, and those that only look so."""
    mail, text = "EMAIL", "SMS"
    yield Campaign(101, "Welcome series", mail, "SCENARIZED", subscription="newsletter", share=6)
    yield Campaign(102, "Happy birthday!", mail, "SCENARIZED", share=3)
    yield Campaign(
        103, "Your basket is waiting", mail, "SCENARIZED", subscription="offers", share=4
    )
    yield Campaign(104, "Order confirmed", mail, "TRANSACTIONAL", share=8)
    yield Campaign(
        105,
        "Spring collection",
        mail,
        "ONE_SHOT",
        subscription="newsletter",
        sent_days_ago=0,
        share=20,
    )
    yield Campaign(
        106,
        "Weekend sale",
        mail,
        "ONE_SHOT",
        subscription="offers",
        share=10,
        later={12: {"sentAt": 12}},
    )
    yield Campaign(
        107,
        "Subject lines, A or B?",
        mail,
        "AB_TEST",
        subscription="newsletter",
        sent_days_ago=0.2,
        share=8,
    )
    yield Campaign(
        108,
        "Ten days ago",
        mail,
        "ONE_SHOT",
        "FINISHED",
        sent_days_ago=10,
        finished_days_ago=9.9,
        share=4,
    )
    yield Campaign(
        109,
        "Last month's sale",
        mail,
        "ONE_SHOT",
        "FINISHED",
        sent_days_ago=45,
        finished_days_ago=44.9,
        share=3,
    )
    yield Campaign(
        110, "Winter journey", mail, "SCENARIZED", "FINISHED", finished_days_ago=3, share=2
    )
    yield Campaign(
        111, "Autumn journey", mail, "SCENARIZED", "FINISHED", finished_days_ago=120, share=2
    )
    yield Campaign(112, "From the old engine", mail, "SCENARIZED", engine="LEGACY", share=3)
    yield Campaign(
        113, "Still a draft", mail, "ONE_SHOT", "DRAFT", share=1, later={16: {"state": "ACTIVE"}}
    )
    yield Campaign(114, "Flash sale (announced late)", mail, "ONE_SHOT", share=4, known_from=15)
    yield Campaign(115, "Never announced", mail, "ONE_SHOT", share=1, known_from=None)
    yield Campaign(
        116,
        "Store opening",
        mail,
        "SCENARIZED",
        share=2,
        later={17: {"state": "FINISHED", "finishedAt": 17}},
    )
    yield Campaign(201, "Parcel on its way", text, "TRANSACTIONAL", share=6)
    yield Campaign(202, "Sale by text", text, "ONE_SHOT", sent_days_ago=0.1, share=4)
    yield Campaign(
        203,
        "Old text",
        text,
        "ONE_SHOT",
        "FINISHED",
        sent_days_ago=60,
        finished_days_ago=60,
        share=1,
    )
    yield Campaign(204, "Appointment", text, "SCENARIZED", share=3)
    for number, channel in enumerate(("PRINT", "CALL_CENTER", "CUSTOM_AUDIENCE")):
        first, name = 301 + 10 * number, channel.replace("_", " ").capitalize()
        yield Campaign(first, f"{name} every day", channel, "SCENARIZED", share=4)
        yield Campaign(first + 1, f"{name} once", channel, "ONE_SHOT", sent_days_ago=2, share=2)
        old = Campaign(first + 2, f"{name} long ago", channel, "ONE_SHOT", "FINISHED")
        yield replace(old, sent_days_ago=90, finished_days_ago=89)


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
