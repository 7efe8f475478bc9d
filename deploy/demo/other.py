"""The demo's other events: text messages, files for providers, rows of tables, campaigns."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

from deploy.demo.cast import Campaign, Profile, store
from deploy.demo.stage import DAY, HOUR, MINUTE, JsonEvent, Stage
from deploy.demo.words import CARD_LEVELS, CATEGORIES

STORES = 30
FILE_CHANNELS = ("PRINT", "CALL_CENTER", "CUSTOM_AUDIENCE")
SMS_NOT_SENT = (
    ("FILTERED", "QUARANTINE"),
    ("FILTERED", "COMMERCIAL_PRESSURE"),
    ("IN_ERROR", "BAD_FORMAT_PHONE_NUMBER"),
    ("IN_ERROR", "NOT_ENOUGH_MONEY"),
)
SMS_FAILURES = ("UNKNOWN_PHONE_NUMBER", "EXPIRED", "DEVICE_TURNED_OFF", "OTHER_PROVIDER_ERROR")


class Texts:
    """SMS activities."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def sent(self, now: int) -> JsonEvent:
        """A text message is sent, or not."""
        stage = self._stage
        profile, campaign = stage.someone(), stage.campaign("SMS")
        contact: JsonEvent = {
            "interactionId": stage.new_interaction(),
            "campaignId": campaign.id,
            "profileId": stage.recipient(profile),
        }
        if profile.gsm is None:
            return self._event(
                "NOT_SENT", _failed(contact, "IN_ERROR", "MISSING_PHONE_NUMBER"), now
            )
        contact["gsmNumber"] = profile.gsm
        chance = stage.chance()
        if chance < 0.1:
            return self._event("NOT_SENT", _failed(contact, *stage.pick(SMS_NOT_SENT)), now)
        if chance < 0.15:
            failure = _failed(contact, "DELIVERY_FAILED", stage.pick(SMS_FAILURES))
            stage.later(
                now + stage.after(10 * MINUTE), partial(self._event, "DELIVERY_FAILED", failure)
            )
        else:
            self._schedule_reactions(contact, now + stage.after(MINUTE))
        return self._event("SENT", contact, now)

    def _schedule_reactions(self, contact: JsonEvent, delivered: int) -> None:
        stage = self._stage
        stage.later(delivered, partial(self._event, "DELIVERED", contact))
        while stage.chance() < 0.25:
            stage.later(delivered + stage.after(HOUR), partial(self._event, "CLICKED", contact))
        if stage.chance() < 0.01:
            stage.later(delivered + stage.after(HOUR), partial(self._event, "STOPPED", contact))

    def _event(self, event_type: str, body: JsonEvent, now: int) -> JsonEvent:
        return self._stage.event(
            "sms-activity", event_type, self._stage.shortly_before(now), "AUTOMATION", body
        )


def _failed(contact: JsonEvent, category: str, status: str) -> JsonEvent:
    return {**contact, "errorStatusCategory": category, "errorStatus": status}


class Files:
    """Contacts that go to a provider in a file: print, call center, custom audience."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def generated(self, now: int) -> JsonEvent:
        """A contact is generated, or filtered."""
        stage = self._stage
        channel = stage.pick(FILE_CHANNELS)
        contact = {
            "channel": channel,
            "interactionId": stage.new_interaction(),
            "campaignId": stage.campaign(channel).id,
            "profileId": stage.recipient(stage.someone()),
        }
        if stage.chance() < 0.15:
            return stage.event(
                "file-activity", "NOT_SENT", stage.shortly_before(now), "AUTOMATION", contact
            )
        generated = stage.shortly_before(now)
        if stage.chance() < 0.6:
            stage.later(now + stage.after(3 * HOUR), partial(self._downloaded, contact, generated))
        return stage.event("file-activity", "GENERATED", generated, "AUTOMATION", contact)

    def _downloaded(self, contact: JsonEvent, generated: int, now: int) -> JsonEvent:
        body = {**contact, "generatedAt": self._stage.moment(generated)}
        return self._stage.event("file-activity", "DOWNLOADED", now, "MANUAL_EDIT", body)


class Tables:
    """Rows of the custom tables."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._purchases = stage.day.toordinal() * 1_000_000_000
        self._cards: list[tuple[int, Profile]] = []

    def loaded(self) -> Iterator[JsonEvent]:
        """Yield the stores and cards from before the day."""
        for number in range(1, STORES + 1):
            yield self._row(
                "stores", "SNAPSHOT", -MINUTE, number, attributes=store(number, self._stage.day)
            )
        for profile in self._stage.population[::5]:
            self._cards.append((profile.id, profile))
            yield self._card("SNAPSHOT", -MINUTE, profile.id, profile)

    def purchased(self, now: int) -> JsonEvent:
        """A purchase is made; some are returned or cancelled later."""
        stage = self._stage
        self._purchases += 1
        number, profile = self._purchases, stage.someone()
        attributes: dict[str, Any] = {
            "purchaseNumber": f"R-{number}",
            "purchasedAt": stage.moment(now),
            "amount": f"{stage.chance() * 250:.2f}",
            "articles": 1 + int(stage.chance() * 9),
            "categories": [stage.pick(CATEGORIES), stage.pick(CATEGORIES)],
            "online": stage.chance() < 0.6,
        }
        if not attributes["online"]:
            attributes["storeCode"] = f"S{1 + int(stage.chance() * STORES):03}"
        chance = stage.chance()
        if chance < 0.08:
            returned = {**attributes, "amount": "0.00"}
            update = partial(self._purchase, "UPDATED", number, profile, returned)
            stage.later(now + stage.after(5 * HOUR), update)
        elif chance < 0.1:
            stage.later(now + stage.after(HOUR), partial(self._cancelled, number, profile))
        return self._purchase("CREATED", number, profile, attributes, now)

    def card_changed(self, now: int) -> JsonEvent:
        """A loyalty card is issued, changed or withdrawn."""
        stage = self._stage
        chance = stage.chance()
        if chance < 0.3 or not self._cards:
            profile = stage.someone()
            self._cards.append((10_000_000_000 + stage.new_interaction(), profile))
            return self._card("CREATED", stage.shortly_before(now), *self._cards[-1])
        if chance < 0.95:
            return self._card(
                "UPDATED", stage.shortly_before(now), *stage.pick(tuple(self._cards[-500:]))
            )
        number, profile = self._cards.pop()
        return self._row("loyaltyCards", "DELETED", now, number, profileId=profile.id)

    def store_changed(self, now: int) -> JsonEvent:
        """A store is renovated, created again, or closed."""
        stage = self._stage
        chance, number = stage.chance(), 1 + int(stage.chance() * STORES)
        if chance < 0.05:
            return self._row("stores", "DELETED", now, number, businessKey=f"S{number:03}")
        renovated = {
            **store(number, stage.day),
            "openedOn": (stage.day - timedelta(days=1)).isoformat(),
        }
        return self._row(
            "stores", "UPDATED" if chance < 0.9 else "CREATED", now, number, attributes=renovated
        )

    def _purchase(
        self, event_type: str, number: int, profile: Profile, attributes: JsonEvent, now: int
    ) -> JsonEvent:
        return self._row(
            "purchases", event_type, now, number, profileId=profile.id, attributes=attributes
        )

    def _cancelled(self, number: int, profile: Profile, now: int) -> JsonEvent:
        return self._row(
            "purchases", "DELETED", now, number, profileId=profile.id, businessKey=f"R-{number}"
        )

    def _card(self, event_type: str, at: int, number: int, profile: Profile) -> JsonEvent:
        attributes = {
            "level": CARD_LEVELS[profile.points // 1001 % len(CARD_LEVELS)],
            "validUntil": (self._stage.day + timedelta(days=30 + profile.born % 700)).isoformat(),
            "nameOnCard": f"{profile.id} / {profile.customer_id}",
            "points": profile.points,
        }
        return self._row(
            "loyaltyCards", event_type, at, number, profileId=profile.id, attributes=attributes
        )

    def _row(self, table: str, event_type: str, at: int, number: int, **body: Any) -> JsonEvent:
        return self._stage.event(
            "row", event_type, at, "ETL", {"table": table, "id": number, **body}
        )


class Announcements:
    """Campaign events."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def before_the_day(self) -> Iterator[JsonEvent]:
        """Yield the campaigns that are known when the day begins; schedule later announcements and
        changes.
        """
        for campaign in self._stage.campaigns:
            if campaign.known_from == 0:
                yield self._campaign(campaign, "CREATED", {}, -HOUR)
            elif campaign.known_from is not None:
                announcement = partial(self._campaign, campaign, "CREATED", {})
                self._stage.later(campaign.known_from * HOUR, announcement)
            for hour, change in campaign.later.items():
                self._stage.later(hour * HOUR, partial(self._campaign, campaign, "UPDATED", change))

    def _campaign(
        self, campaign: Campaign, event_type: str, change: JsonEvent, now: int
    ) -> JsonEvent:
        moment = self._stage.moment
        body = {
            "campaignId": campaign.id,
            "name": campaign.name,
            "technicalName": campaign.technical_name,
            "channel": campaign.channel,
            "campaignKind": campaign.kind,
            "state": campaign.state,
            "engine": campaign.engine,
        }
        if campaign.subscription is not None:
            body["subscription"] = campaign.subscription
        if campaign.sent_days_ago is not None:
            body["sentAt"] = moment(int(-campaign.sent_days_ago * DAY))
        if campaign.finished_days_ago is not None:
            body["finishedAt"] = moment(int(-campaign.finished_days_ago * DAY))
        at_hours = {
            name: moment(int(hour * HOUR)) for name, hour in change.items() if name.endswith("At")
        }
        return self._stage.event(
            "campaign", event_type, now, "MANUAL_EDIT", {**body, **change, **at_hours}
        )
