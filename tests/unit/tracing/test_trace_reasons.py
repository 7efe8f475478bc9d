"""A trace names one rule of SPEC, and the record that the rule speaks of (SPEC §3, §7).

What drawn histories come to is held against the naive model: test_traces_against_model.py.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from schemas.events import Kind
from sinks.editions import FIRST_EDITION, UPDATES_AT_CREATION
from sinks.ledger.intent import Intent
from sinks.tracing import why
from sinks.tracing.finding import Days
from sinks.tracing.trace import trace_event
from sinks.tracing.verdict import IN_INITIAL, NOT_IN_INITIAL, Verdict
from tests.shop.offline import OfflineShop, at, with_exports
from tests.shop.planted import campaign

EVENT = UUID(int=5)
EMAILS = "deltadrop.shop.email-activity"
PROFILES = "deltadrop.shop.profile"
DOCS = Path(__file__).parents[3] / "docs" / "operating.md"


@pytest.fixture
def mails(tmp_path: Path) -> OfflineShop:
    return OfflineShop(tmp_path, definitions=with_exports("sent", "clicks"))


@pytest.fixture
def profiles(tmp_path: Path) -> OfflineShop:
    return OfflineShop(tmp_path, definitions=with_exports("profiles"))


def verdict(shop: OfflineShop, export: str, nth: int = 0) -> Verdict:
    found = trace_event(shop.sinks, EVENT, Days()).events[nth].verdicts
    return next(one for one in found if one.export == export)


@pytest.mark.parametrize(
    ("campaign_is", "says"),
    [
        ({"state": "DRAFT"}, "is a DRAFT"),
        ({"engine": "LEGACY"}, "runs on the LEGACY engine"),
        (
            {"state": "FINISHED", "finishedAt": at(6) - timedelta(days=31)},
            "was finished at 2026-02-24T06:00:00.000+00:00, 31 days or more before the close",
        ),
        (
            {"campaignKind": "ONE_SHOT", "sentAt": at(6) - timedelta(days=32)},
            "was sent at 2026-02-23T06:00:00.000+00:00, 31 days or more before the close",
        ),
        (
            {"campaignKind": "ONE_SHOT", "state": "FINISHED", "finishedAt": at(1)},
            "is ONE_SHOT, has no sentAt, and isn't ACTIVE",
        ),
    ],
)
def test_why_a_campaign_doesnt_count_is_told_with_its_last_event(
    mails: OfflineShop, campaign_is: dict[str, object], says: str
) -> None:
    campaign(mails, 22, 1)
    mails.tell(Kind.CAMPAIGN, "UPDATED", at(1.5), campaignId=22, **campaign_is)
    mails.tell(Kind.EMAIL_ACTIVITY, "SENT", at(2), event_id=EVENT)
    mails.store_all()
    mails.close("sent", at(6))

    told = verdict(mails, "sent")

    assert (told.outcome, told.rule) == ("inactive campaign", f"SPEC §3, {why.ACTIVE}")
    assert told.why == f"campaign 22 {says}"
    assert told.by == "deltadrop.campaign/0, offset 1"


def test_a_repeat_is_told_with_what_it_repeats(mails: OfflineShop) -> None:
    campaign(mails, 22, 1)
    first = mails.tell(Kind.EMAIL_ACTIVITY, "SENT", at(2), event_id=EVENT)
    mails.tell(Kind.EMAIL_ACTIVITY, "SENT", at(3), event_id=EVENT)
    mails.store_all()
    mails.close("sent", at(6))

    told = str(trace_event(mails.sinks, EVENT, Days()))

    place = f"SENT at {EMAILS}/0, offset {first}"
    assert f"its topic carried the eventId before: {place} (SPEC §3, Facts: repeat)" in told
    assert "exported: line 2 of sent_20260327_0600.csv.gz" in told
    assert "counts (SPEC §3, Facts)" in told


def test_a_first_that_stands_before_a_base_is_told_by_the_base(
    mails: OfflineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.closing.rebase._WORTH_A_BASE", 1)
    campaign(mails, 22, 1)
    mails.tell(Kind.EMAIL_ACTIVITY, "CLICKED", at(2, 24), interactionId=11)
    mails.store_all()  # longer ago than what repeats are told from
    mails.close("clicks", at(6))
    (topic,) = (one for one in mails.sinks.streams.topics.values() if one.name == EMAILS)
    assert mails.sinks.rebase.remake_where_due([topic], at(6))
    mails.tell(Kind.EMAIL_ACTIVITY, "CLICKED", at(7), interactionId=11, event_id=EVENT)
    mails.store_all()
    mails.close("clicks", at(6, 28))

    told = verdict(mails, "clicks")

    assert (told.outcome, told.by) == ("not first", None)
    assert told.why == (
        "the link had its first in an earlier window; "
        "the record stands before the base of 20260327T060000.000Z"
    )


def test_what_an_earlier_release_left_out_is_told_with_what_was_mended(
    profiles: OfflineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles.tell(Kind.PROFILE, "CREATED", at(2), profileId=1)
    profiles.tell(Kind.PROFILE, "UPDATED", at(7), at(2), profileId=1, event_id=EVENT)
    profiles.store_all()
    with monkeypatch.context() as older:
        older.setattr("sinks.closing.intent.Intent", partial(Intent, edition=FIRST_EDITION))
        profiles.close("profiles", at(6))
        profiles.close("profiles", at(6, 28))

    told = verdict(profiles, "profiles")

    assert (told.outcome, told.rule) == ("filtered", "SPEC §3, Rows: CREATION_OR_UPDATE")
    assert UPDATES_AT_CREATION.sentence in str(told.why)
    assert "deltadrop redrop" in str(told.why)


def test_a_row_whose_profile_was_deleted_after_the_cut_isnt_in_an_initial_drop(
    profiles: OfflineShop,
) -> None:
    profiles.tell(Kind.PROFILE, "CREATED", at(2), profileId=1, event_id=EVENT)
    profiles.tell(Kind.PROFILE, "CREATED", at(2), profileId=2, event_id=EVENT)
    profiles.tell(Kind.PROFILE, "CREATED", at(2), profileId=3, event_id=UUID(int=6))
    profiles.tell(Kind.PROFILE, "DELETED", at(7), profileId=1)
    profiles.store_all()
    export = profiles.sinks.exports[0]
    closed = profiles.sinks.closer.close(export, at(6), lambda lags: None, initial=True)

    assert closed.rows == 1
    told = verdict(profiles, "profiles")
    assert (told.outcome, told.rule) == (NOT_IN_INITIAL, f"SPEC §3, {why.GONE}")
    told = verdict(profiles, "profiles", 1)
    assert (told.outcome, told.rule) == (NOT_IN_INITIAL, f"SPEC §3, {why.INITIAL}")
    (other,) = trace_event(profiles.sinks, UUID(int=6), Days()).events
    assert (other.verdicts[0].outcome, other.verdicts[0].line) == (IN_INITIAL, 2)


def test_a_row_that_is_gone_since_the_cut_is_told_so(profiles: OfflineShop) -> None:
    profiles.tell(Kind.PROFILE, "CREATED", at(2), profileId=1, event_id=EVENT)
    profiles.tell(Kind.PROFILE, "DELETED", at(7), profileId=1)
    profiles.store_all()
    profiles.close("profiles", at(6))

    told = verdict(profiles, "profiles")

    assert (told.outcome, told.rule) == ("row gone", f"SPEC §3, {why.GONE}")


@pytest.mark.parametrize("rule", why.RULES)
def test_the_docs_have_every_rule(rule: str) -> None:
    table = DOCS.read_text(encoding="utf-8").split("### The rules that `trace` names")[1]
    assert f"`{rule}`" in table
