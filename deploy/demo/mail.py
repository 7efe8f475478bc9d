"""The demo's e-mail events: sent, opened, clicked, bounced, unsubscribed."""

from functools import partial

from deploy.demo.cast import Campaign, Profile
from deploy.demo.stage import HOUR, MINUTE, SECOND, JsonEvent, Stage
from deploy.demo.words import LINKS

KIND = "email-activity"
NOT_SENT = (
    ("FILTERED", "COMMERCIAL_PRESSURE"),
    ("FILTERED", "QUARANTINE_TEMPORARY"),
    ("FILTERED", "QUARANTINE_PERMANENT"),
    ("FILTERED", "CONTROL_SAMPLE"),
    ("FILTERED", "INVALID_EMAIL_ADDRESS"),
    ("IN_ERROR", "EMAIL_SENDING_ERROR"),
    ("IN_ERROR", "VARIABLE_VALUE_ERROR"),
    ("IN_ERROR", "OTHER_ERROR"),
)
BOUNCES = (
    ("HARD_BOUNCE", "UNKNOWN_USER"),
    ("HARD_BOUNCE", "UNKNOWN_DOMAIN"),
    ("SOFT_BOUNCE", "QUOTA_EXCEEDED"),
    ("SOFT_BOUNCE", "OTHER_SOFT_BOUNCE"),
    ("TECHNICAL", "OUT_OF_OFFICE"),
)
UNSUBSCRIBE_SOURCES = (
    *("UNSUBSCRIBE_LINK",) * 8,
    *("LIST_UNSUBSCRIBE",) * 4,
    *("FORM", "AUTOMATION", "FILE_IMPORT", "MANUAL_EDIT", "API", "ETL"),
)


class Mail:
    """E-mail activities. Each act makes one event, and may schedule events that follow from it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def sent(self, now: int) -> JsonEvent:
        """An e-mail is sent; it isn't if the profile has no address."""
        stage = self._stage
        profile, campaign = stage.someone(), stage.campaign("EMAIL")
        contact = self._contact(profile, campaign)
        if profile.email is None:
            return self._not_sent(now, contact, ("FILTERED", "NO_EMAIL_ADDRESS"))
        self._schedule_reactions(now, contact, profile)
        return self._event("SENT", now, "AUTOMATION", contact)

    def not_sent(self, now: int) -> JsonEvent:
        """An e-mail is filtered or in error."""
        contact = self._contact(self._stage.someone(), self._stage.campaign("EMAIL"))
        return self._not_sent(now, contact, self._stage.pick(NOT_SENT))

    def reaction_to_an_earlier_day(self, now: int) -> JsonEvent:
        """An e-mail of an earlier day is opened, or clicked without an opening before."""
        contact = self._contact(self._stage.anyone(), self._stage.campaign("EMAIL"))
        if self._stage.chance() < 0.3:
            return self._clicked(contact, self._stage.pick(LINKS), now)
        if self._stage.chance() < 0.2:
            self._stage.later(now + HOUR, partial(self._opened, contact))
        return self._opened(contact, now)

    def _contact(self, profile: Profile, campaign: Campaign) -> JsonEvent:
        stage = self._stage
        contact: JsonEvent = {
            "interactionId": stage.new_interaction(),
            "campaignId": campaign.id,
            "profileId": stage.recipient(profile),
        }
        if profile.email is not None:
            contact["emailAddress"] = profile.email
        if campaign.kind == "AB_TEST":
            contact["abVersion"] = "A" if stage.chance() < 0.5 else "B"
        if campaign.subscription is not None and stage.chance() < 0.5:
            contact["subscription"] = campaign.subscription
        return contact

    def _schedule_reactions(self, now: int, contact: JsonEvent, profile: Profile) -> None:
        stage = self._stage
        chance = stage.chance()
        if chance < 0.04:
            return stage.later(now + stage.after(MINUTE), partial(self._bounced, contact))
        if chance < 0.09:
            return self._schedule_clicks(now, contact)
        if chance < 0.45:
            opened = now + stage.after(90 * MINUTE)
            stage.later(opened, partial(self._opened, contact))
            while stage.chance() < 0.25:
                stage.later(opened + stage.after(2 * HOUR), partial(self._opened, contact))
            if stage.chance() < 0.3:
                self._schedule_clicks(opened, contact)
            if stage.chance() < 0.03:
                stage.later(
                    opened + stage.after(5 * MINUTE), partial(self._unsubscribed, contact, profile)
                )
        return None

    def _schedule_clicks(self, now: int, contact: JsonEvent) -> None:
        """Schedule one or more clicks, on the same link or others."""
        while True:
            now += self._stage.after(3 * MINUTE)
            self._stage.later(now, partial(self._clicked, contact, self._stage.pick(LINKS)))
            if self._stage.chance() < 0.6:
                return

    def _event(self, event_type: str, now: int, source: str, body: JsonEvent) -> JsonEvent:
        return self._stage.event(KIND, event_type, self._stage.shortly_before(now), source, body)

    def _not_sent(self, now: int, contact: JsonEvent, why: tuple[str, str]) -> JsonEvent:
        return self._event(
            "NOT_SENT", now, "AUTOMATION", {**contact, "statusCategory": why[0], "status": why[1]}
        )

    def _opened(self, contact: JsonEvent, now: int) -> JsonEvent:
        return self._event("OPENED", now, "AUTOMATION", contact)

    def _clicked(self, contact: JsonEvent, link: tuple[str, str | None], now: int) -> JsonEvent:
        body = {**contact, "clickedUrl": link[0]}
        if link[1] is not None:
            body["clickedUrlName"] = link[1]
        return self._event("CLICKED", now, "AUTOMATION", body)

    def _bounced(self, contact: JsonEvent, now: int) -> JsonEvent:
        category, status = self._stage.pick(BOUNCES)
        body = {**contact, "bounceStatusCategory": category, "bounceStatus": status}
        return self._event("BOUNCED", now, "AUTOMATION", body)

    def _unsubscribed(self, contact: JsonEvent, profile: Profile, now: int) -> JsonEvent:
        source = self._stage.pick(UNSUBSCRIBE_SOURCES)
        subscription = contact.get("subscription", "newsletter")
        change = partial(self._subscription_changed, profile, subscription, source)
        self._stage.later(now + SECOND, change)
        return self._event("UNSUBSCRIBED", now, source, {**contact, "subscription": subscription})

    def _subscription_changed(
        self, profile: Profile, subscription: str, source: str, now: int
    ) -> JsonEvent:
        body = {"profileId": profile.id, "subscription": subscription, "type": "UNSUBSCRIBED"}
        return self._stage.event("subscription-update", "CHANGED", now, source, body)
