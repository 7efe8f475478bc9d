"""The page of export types, held against SPEC §2 and the declared events."""

import pytest

from schemas.events import KINDS
from schemas.tables import AttributeDefinition, DatabaseDefinition
from sinks.exports.types import EXPORT_TYPES, ExportType, Increment, columns_on_offer
from sinks.rules.columns import EVENT_ID, Column, Origin, Subject

SHOP = Subject(
    DatabaseDefinition(
        database="shop",
        attributes=(AttributeDefinition(name="customerId", type="string"),),
        business_key="customerId",
        subscriptions=("offers", "newsletter"),
        marketing_consent=True,
    )
)
SENT = (
    "interactionId campaignId abVersion profileId subscription eventTime emailAddress "
    "campaignTechnicalName customerId"
)
EVERY = [(one, event) for one in EXPORT_TYPES.values() for event in one.increments]


def test_there_are_types_to_walk() -> None:
    assert len(EVERY) == 40


@pytest.mark.parametrize(
    ("event", "columns"),
    [
        ("SENT", SENT),
        ("NOT_SENT", f"{SENT} statusCategory status"),
        ("OPENED", SENT),
        ("CLICKED", f"{SENT} clickedUrlName isFirstClick clickedUrl"),
        ("BOUNCED", f"{SENT} bounceStatusCategory bounceStatus"),
        ("UNSUBSCRIBED", SENT),
    ],
)
def test_email_activities_have_the_columns_of_the_spec_in_its_order(
    event: str, columns: str
) -> None:
    email = EXPORT_TYPES["email-activities"]

    offered = columns_on_offer(email, email.increments[event], SHOP)

    assert " ".join(column.header for column in offered if column.chosen) == columns
    assert EVENT_ID in offered


@pytest.mark.parametrize("event", ["CREATION", "UPDATE", "CREATION_OR_UPDATE"])
def test_profiles_have_subscriptions_sorted_and_no_event_id(event: str) -> None:
    profile = EXPORT_TYPES["profile"]

    offered = columns_on_offer(profile, profile.increments[event], SHOP)

    assert [column.name for column in offered] == [
        "profileId",
        "customerId",
        "subscriptions",
        "subscription-newsletter",
        "subscription-offers",
        "marketingConsent",
        "creationMoment",
        "updateMoment",
    ]


@pytest.mark.parametrize(("export_type", "event"), EVERY, ids=lambda v: getattr(v, "name", v))
def test_what_is_declared_exists(export_type: ExportType, event: str) -> None:
    """Feeding event types are the kind's, and event columns are fields that all of them carry."""
    increment = export_type.increments[event]
    payloads = KINDS[increment.kind].payloads

    assert increment.feeds
    assert set(increment.feeds) <= set(payloads)
    for column in columns_on_offer(export_type, increment, SHOP):
        if column.origin is Origin.EVENT and column.path[0] not in ("occurredAt", "eventId"):
            assert all(column.path[0] in payloads[fed].fields for fed in increment.feeds), column


@pytest.mark.parametrize(("export_type", "event"), EVERY, ids=lambda v: getattr(v, "name", v))
def test_names_of_columns_are_unique(export_type: ExportType, event: str) -> None:
    offered = columns_on_offer(export_type, export_type.increments[event], SHOP)

    assert len({column.name for column in offered}) == len(offered)


def test_of_a_person_who_is_gone_technical_columns_stay() -> None:
    email = EXPORT_TYPES["email-activities"]
    clicked: Increment = email.increments["CLICKED"]

    def emptied(column: Column) -> bool:
        return column.empty_when_gone

    offered = columns_on_offer(email, clicked, SHOP)
    assert [column.name for column in offered if emptied(column) and column.chosen] == [
        "emailAddress",
        "businessKey",
    ]


def test_deletions_and_repositories_have_no_columns_of_the_profile() -> None:
    without = {
        (export_type.name, event)
        for export_type, event in EVERY
        if not export_type.increments[event].with_profile
    }

    rows = ("CREATION", "UPDATE", "CREATION_OR_UPDATE")
    assert without == {
        *((name, event) for name in ("profile", "repository") for event in rows),
        ("profile-changes", "DELETED"),
        ("linked-data-changes", "DELETED"),
        ("interaction-changes", "DELETED"),
        ("repository-changes", "DELETED"),
    }


def test_only_deleted_profiles_and_subscription_updates_have_a_source_filter() -> None:
    filtered = {(one.name, event) for one, event in EVERY if one.increments[event].source_filter}

    assert filtered == {("profile-changes", "DELETED"), ("profile-changes", "SUBSCRIPTION_UPDATE")}
