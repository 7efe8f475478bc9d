"""What one export asks for (SPEC §2 and §4): its events, its columns, its formats."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from tests.model.history import topic_name
from tests.model.tables import Database, Table
from tests.model.types import ROW, TYPES, EventType, ExportType

EXTERNAL = ("API", "ETL")
INTERNAL = (
    "UNSUBSCRIBE_LINK",
    "LIST_UNSUBSCRIBE",
    "FORM",
    "AUTOMATION",
    "FILE_IMPORT",
    "MANUAL_EDIT",
)
SOURCE_GROUPS = {"INTERNAL": INTERNAL, "EXTERNAL": EXTERNAL}


@dataclass(frozen=True)
class Formats:
    """How values are written (SPEC §4); the defaults are the product's."""

    yes: str = "Y"
    no: str = "N"
    date: str = "yyyy-MM-dd"
    moment: str = "yyyy-MM-dd HH:mm:ss"
    between_values: str = "|"
    separator: str = ","
    escapes_formulas: bool = False


@dataclass(frozen=True)
class Export:
    """One export. No columns given: all that SPEC §2 lists but for `profile-` ones, in its order;
    of a profile or a row, all that it has. No sources given: all count.
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
    table: Table | None = None
    sources: tuple[str, ...] = ()

    @property
    def declared(self) -> ExportType:
        return TYPES[self.type]

    @property
    def event(self) -> EventType:
        return self.declared.events[self.event_type]

    @property
    def is_of_rows(self) -> bool:
        return self.declared.of == ROW

    @property
    def kind(self) -> str:
        """The kind of the events that feed the export."""
        return self.event.kind or self.declared.kind

    @property
    def topic(self) -> str:
        table = self.table.name if self.table else ""
        return topic_name(self.kind, self.database.name, table, prefix=self.topic_prefix)

    @property
    def profile_topic(self) -> str:
        return topic_name("profile", self.database.name, prefix=self.topic_prefix)

    @property
    def campaign_topic(self) -> str:
        return topic_name("campaign", prefix=self.topic_prefix)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The event types that feed the export."""
        return self.event.inputs

    @property
    def wanted_sources(self) -> tuple[str, ...]:
        """The single sources that the filter lets through; none if it is off."""
        return tuple(source for name in self.sources for source in SOURCE_GROUPS.get(name, (name,)))

    @property
    def chosen_columns(self) -> tuple[str, ...]:
        return self.columns or self.own_columns

    @property
    def own_columns(self) -> tuple[str, ...]:
        """What an export has whose definition names no columns."""
        if self.type == "profile":
            return ("profileId", *profile_columns(self.database))
        if self.table is not None and self.is_of_rows:
            ids = ("id",) if self.table.kind == "repository" else ("id", "profileId")
            return (*ids, *self.table.attributes, "creationMoment", "updateMoment")
        absent = set()
        if self.database.business_key is None:
            absent.add("businessKey")
        if self.table is None or self.table.key is None:
            absent.add("rowBusinessKey")
        return tuple(column for column in self.event.columns if column not in absent)

    @property
    def columns_on_offer(self) -> tuple[str, ...]:
        """Everything that a definition may choose."""
        own = self.own_columns
        if self.type == "profile":
            return (*own, *subscription_columns(self.database))
        event_id = () if self.is_of_rows else ("eventId",)
        beside = (*profile_columns(self.database), *subscription_columns(self.database))
        profile = [f"profile-{name}" for name in beside] if self.event.with_profile else []
        return (*own, *event_id, *profile)

    @property
    def header(self) -> list[str]:
        return [
            self.headers.get(column, self._technical_name(column)) for column in self.chosen_columns
        ]

    def _technical_name(self, column: str) -> str:
        """The column's own name; a business key's is that of the attribute."""
        if self.is_of_rows:
            return column
        if column == "businessKey" and self.database.business_key:
            return self.database.business_key
        if column == "rowBusinessKey" and self.table and self.table.key:
            return self.table.key
        return column


def profile_columns(database: Database) -> tuple[str, ...]:
    """Everything that can be shown of a profile, but for its id."""
    subscriptions = ("subscriptions",) if database.subscriptions else ()
    segments = tuple(f"segment-{name}" for name in database.segmentations)
    consent = ("marketingConsent",) if database.marketing_consent else ()
    moments = ("creationMoment", "updateMoment")
    return (*database.attributes, *subscriptions, *segments, *consent, *moments)


def subscription_columns(database: Database) -> tuple[str, ...]:
    """A column for each subscription, in place of the one of all."""
    return tuple(f"subscription-{name}" for name in sorted(database.subscriptions))
