"""What one export asks for (SPEC §2 and §4): its events, its columns, its formats."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from tests.model.history import topic_name
from tests.model.tables import Database

ACTIVITY_INPUTS = {
    "SENT": ("SENT",),
    "NOT_SENT": ("NOT_SENT",),
    "OPENED": ("OPENED", "CLICKED"),
    "CLICKED": ("CLICKED",),
    "BOUNCED": ("BOUNCED",),
    "UNSUBSCRIBED": ("UNSUBSCRIBED",),
}
"""Which events of e-mail activities feed which export."""

ROW_INPUTS = ("CREATED", "UPDATED", "DELETED")

ACTIVITY_COLUMNS = (
    "interactionId",
    "campaignId",
    "abVersion",
    "profileId",
    "subscription",
    "eventTime",
    "emailAddress",
    "campaignTechnicalName",
)
MORE_ACTIVITY_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "NOT_SENT": ("statusCategory", "status"),
    "CLICKED": ("clickedUrlName", "isFirstClick", "clickedUrl"),
    "BOUNCED": ("bounceStatusCategory", "bounceStatus"),
}


@dataclass(frozen=True)
class Formats:
    """How values are written (SPEC §4); the defaults are the product's."""

    yes: str = "Y"
    no: str = "N"
    date: str = "yyyy-MM-dd"
    moment: str = "yyyy-MM-dd HH:mm:ss"
    between_values: str = "|"
    separator: str = ","


@dataclass(frozen=True)
class Export:
    """One export. No columns given: all that SPEC §2 lists, in its order; of a profile, all that it
    has.
    """

    type: str
    event_type: str
    database: Database
    columns: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    time_zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    formats: Formats = Formats()
    topic_prefix: str = "deltadrop"
    firsts_days: int = 400

    @property
    def is_of_rows(self) -> bool:
        return self.type == "profile"

    @property
    def kind(self) -> str:
        return {"profile": "profile", "email-activities": "email-activity"}[self.type]

    @property
    def topic(self) -> str:
        return topic_name(self.kind, self.database.name, prefix=self.topic_prefix)

    @property
    def profile_topic(self) -> str:
        return topic_name("profile", self.database.name, prefix=self.topic_prefix)

    @property
    def campaign_topic(self) -> str:
        return topic_name("campaign", prefix=self.topic_prefix)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The event types that feed the export."""
        return ROW_INPUTS if self.is_of_rows else ACTIVITY_INPUTS[self.event_type]

    @property
    def chosen_columns(self) -> tuple[str, ...]:
        if self.columns:
            return self.columns
        if self.is_of_rows:
            return ("profileId", *profile_columns(self.database))
        more = MORE_ACTIVITY_COLUMNS.get(self.event_type, ())
        key = ("businessKey",) if self.database.business_key else ()
        return (*ACTIVITY_COLUMNS, *key, *more)

    @property
    def header(self) -> list[str]:
        return [
            self.headers.get(column, self._technical_name(column)) for column in self.chosen_columns
        ]

    def _technical_name(self, column: str) -> str:
        """The column's own name; the business key's is that of the attribute."""
        key = self.database.business_key
        return key if key is not None and column == "businessKey" else column


def profile_columns(database: Database) -> tuple[str, ...]:
    """Everything that can be shown of a profile, but for its id."""
    subscriptions = ("subscriptions",) if database.subscriptions else ()
    segments = tuple(f"segment-{name}" for name in database.segmentations)
    consent = ("marketingConsent",) if database.marketing_consent else ()
    moments = ("creationMoment", "updateMoment")
    return (*database.attributes, *subscriptions, *segments, *consent, *moments)
