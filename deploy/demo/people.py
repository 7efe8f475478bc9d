"""The demo's events about profiles, their subscriptions, segments and consents."""

from functools import partial

from deploy.demo.cast import LIFECYCLE, SUBSCRIPTIONS, Profile
from deploy.demo.stage import DAY, MINUTE, SECOND, JsonEvent, Stage

SOURCES = ("FORM", "FORM", "API", "API", "ETL", "FILE_IMPORT", "AUTOMATION", "MANUAL_EDIT")
UNSUBSCRIBE_SOURCES = ("UNSUBSCRIBE_LINK", "LIST_UNSUBSCRIBE", *SOURCES)


class People:
    """Events of profiles and their changes. Each act makes one event, and may schedule events that
    follow from it.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def loaded(self, profile: Profile) -> JsonEvent:
        """A profile from before the day is loaded."""
        created = -DAY * (2 + profile.born % 900) + profile.born % DAY
        moments = {"creationMoment": self._stage.moment(created)}
        if profile.born % 3:
            moments["updateMoment"] = self._stage.moment(created // 2)
        return self._profile("SNAPSHOT", -MINUTE, "ETL", profile, moments)

    def created(self, now: int) -> JsonEvent:
        """A profile is created; rarely it exists already, as its deletion was never published."""
        stage = self._stage
        return self._born(stage.someone() if stage.chance() < 0.01 else stage.newcomer(), now)

    def updated(self, now: int) -> JsonEvent:
        """A profile is updated; a few of these were never created."""
        stage = self._stage
        profile = stage.newcomer() if stage.chance() < 0.002 else stage.someone()
        chance = stage.chance()
        if chance < 0.4:
            profile.points += int(chance * 1000)
            profile.last_purchase = stage.moment(now)
        elif chance < 0.5:
            profile.renamed += 1
        elif chance < 0.7:
            profile.last_opening = stage.moment(now)
        elif chance < 0.8:
            profile.last_click = stage.moment(now)
        else:
            profile.lifecycle = int(stage.chance() * len(LIFECYCLE))
        return self._profile("UPDATED", stage.shortly_before(now), stage.pick(SOURCES), profile, {})

    def deleted(self, now: int) -> JsonEvent:
        """A profile is deleted; some are created again with the same id, as another life."""
        stage = self._stage
        profile = stage.someone()
        profile.lives = False
        if stage.chance() < 0.35:
            stage.later(now + MINUTE + stage.after(90 * MINUTE), partial(self._reborn, profile))
        body = {"profileId": profile.id, "businessKey": profile.customer_id}
        if stage.chance() < 0.7:
            body |= {
                "dataCollectionMoment": stage.moment(now - DAY),
                "dataCollectionWay": 'form 12, field "delete me"',
                "dataCollectionSource": "Privacy centre",
            }
        return stage.event("profile", "DELETED", now, stage.pick(SOURCES), body)

    def subscribed(self, now: int) -> JsonEvent:
        """A profile subscribes or unsubscribes."""
        stage = self._stage
        profile, number = stage.someone(), int(stage.chance() * len(SUBSCRIPTIONS))
        profile.subscribed ^= 1 << number
        joined = bool(profile.subscribed >> number & 1)
        body = {
            "profileId": profile.id,
            "subscription": SUBSCRIPTIONS[number],
            "type": "SUBSCRIBED" if joined else "UNSUBSCRIBED",
        }
        return self._change(
            "subscription-update", now, stage.pick(SOURCES if joined else UNSUBSCRIBE_SOURCES), body
        )

    def moved_between_segments(self, now: int) -> JsonEvent:
        """A profile enters or leaves a segment."""
        stage = self._stage
        profile = stage.someone()
        body: JsonEvent = {"profileId": profile.id}
        if stage.chance() < 0.3:
            profile.vip = not profile.vip
            body |= {
                "segment": "vip",
                "previousValue": str(not profile.vip).lower(),
                "newValue": str(profile.vip).lower(),
            }
        else:
            previous, profile.lifecycle = (
                profile.lifecycle,
                (profile.lifecycle + 1) % len(LIFECYCLE),
            )
            body |= {"segment": "lifecycle", "newValue": LIFECYCLE[profile.lifecycle]}
            if stage.chance() < 0.9:
                body["previousValue"] = LIFECYCLE[previous]
        return stage.event(
            "segment-transition", "CHANGED", stage.shortly_before(now), "AUTOMATION", body
        )

    def consented(self, now: int) -> JsonEvent:
        """A profile gives or withdraws its consent."""
        profile = self._stage.someone()
        profile.consent = not profile.consent
        body = {"profileId": profile.id, "consentValue": profile.consent}
        return self._change("marketing-consent", now, self._stage.pick(SOURCES), body)

    def _born(self, profile: Profile, now: int) -> JsonEvent:
        """A creation; some get an update in the same millisecond, as the portal writes twice."""
        stage = self._stage
        occurred = stage.shortly_before(now)
        source = stage.pick(SOURCES)
        if stage.chance() < 0.15:
            stage.later(
                now + SECOND, lambda _: self._profile("UPDATED", occurred, source, profile, {})
            )
        return self._profile("CREATED", occurred, source, profile, {})

    def _reborn(self, profile: Profile, now: int) -> JsonEvent:
        profile.lives = True
        profile.born = (profile.born * 31 + 7) & 0xFFFFFFFF
        profile.points = 0
        source = self._stage.pick(SOURCES)
        return self._profile("CREATED", now, source, profile, {})

    def _profile(
        self, event_type: str, at: int, source: str, profile: Profile, more: JsonEvent
    ) -> JsonEvent:
        body = {"profileId": profile.id, **profile.row(), **more}
        return self._stage.event("profile", event_type, at, source, body)

    def _change(self, kind: str, now: int, source: str, body: JsonEvent) -> JsonEvent:
        occurred = self._stage.shortly_before(now)
        if self._stage.chance() < 0.6:
            body["collectionMoment"] = self._stage.moment(occurred - MINUTE)
            body["collectionWay"] = "preference centre"
            body["collectionSource"] = "shop.example"
        return self._stage.event(kind, "CHANGED", occurred, source, body)
