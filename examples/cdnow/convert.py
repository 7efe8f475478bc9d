"""From purchases to events: what an upstream team writes to feed deltadrop.

Every purchase becomes two events (SPEC §8): a new row of the table `purchases`, and the customer's
whole profile as it now is, with running totals: created by the first purchase, updated by the
others. The ids are the source's own, so that the same input gives the same events.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import groupby
from uuid import UUID, uuid5

from examples.cdnow.source import Purchase
from producers import Event
from schemas.events import EventType, Kind, Source

DATABASE = "music"
NAMESPACE = UUID("5b6f4a62-0d0f-4c0e-9c39-6a3f1f2c7e10")
"""Of this example's event ids: the same event always has the same one, so that publishing a month
twice within two days counts it once.
"""
OPENING_HOUR = time(12, tzinfo=UTC)
"""The source has days only. Noon in UTC is the same day nearly everywhere."""


@dataclass(slots=True)
class Customer:
    """What a customer bought up to now."""

    first: date
    last: date
    purchases: int = 0
    cds: int = 0
    spent: Decimal = field(default_factory=Decimal)


def months(purchases: Iterable[Purchase]) -> Iterator[tuple[str, list[Purchase]]]:
    """Group purchases by month (`1997-01`), in order of day; of one day in the source's order."""
    by_day = sorted(purchases, key=lambda purchase: (purchase.day, purchase.number))
    for month, group in groupby(by_day, key=lambda purchase: f"{purchase.day:%Y-%m}"):
        yield month, list(group)


class Book:
    """The shop's book: every purchase is written down, and told as events."""

    def __init__(self) -> None:
        self._customers: dict[int, Customer] = {}
        self._today: Counter[tuple[int, date]] = Counter()

    def events(self, purchases: Iterable[Purchase]) -> Iterator[Event]:
        """Yield two events a purchase, in order."""
        for purchase in purchases:
            moment = self._moment(purchase)
            yield _row(purchase, moment)
            yield self._profile(purchase, moment)

    def _moment(self, purchase: Purchase) -> datetime:
        """When it happened: a customer's purchases of one day are a second apart. Equal moments
        would make an update of a creation that is none (SPEC §3, UPDATE).
        """
        key = (purchase.customer, purchase.day)
        self._today[key] += 1
        opening = datetime.combine(purchase.day, OPENING_HOUR)
        return opening + timedelta(seconds=self._today[key] - 1)

    def _profile(self, purchase: Purchase, moment: datetime) -> Event:
        known = purchase.customer in self._customers
        if not known:
            self._customers[purchase.customer] = Customer(purchase.day, purchase.day)
        customer = self._customers[purchase.customer]
        customer.last = purchase.day
        customer.purchases += 1
        customer.cds += purchase.cds
        customer.spent += purchase.dollars
        attributes = {
            "customerId": f"{purchase.customer:05}",
            "purchases": customer.purchases,
            "cds": customer.cds,
            "spent": customer.spent,
            "firstPurchase": customer.first,
            "lastPurchase": customer.last,
        }
        payload = {"profileId": purchase.customer, "attributes": attributes}
        event_type = EventType.UPDATED if known else EventType.CREATED
        return _event(Kind.PROFILE, event_type, moment, purchase, payload)


def _row(purchase: Purchase, moment: datetime) -> Event:
    attributes = {"purchasedOn": purchase.day, "cds": purchase.cds, "amount": purchase.dollars}
    ids = {"table": "purchases", "id": purchase.number, "profileId": purchase.customer}
    payload = {**ids, "attributes": attributes}
    return _event(Kind.ROW, EventType.CREATED, moment, purchase, payload)


def _event(
    kind: Kind,
    event_type: EventType,
    moment: datetime,
    purchase: Purchase,
    payload: dict[str, object],
) -> Event:
    event_id = uuid5(NAMESPACE, f"{kind} {purchase.number}")
    return Event(kind, event_type, DATABASE, Source.ETL, moment, payload, event_id)
