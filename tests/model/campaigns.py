"""Which campaigns count (SPEC §3, *Active campaigns only*)."""

from collections.abc import Mapping
from functools import lru_cache

from tests.model.history import DAY, Cut, Event, History, by_entity, milliseconds

CAMPAIGN_LIFE = 31 * DAY
"""How long a campaign counts after it was sent or finished; at the end of it exactly, it no longer
does.
"""


def is_active(campaign: Event, close_instant: int) -> bool:
    """Whether activities of the campaign are exported by a close at this instant (UTC
    milliseconds).
    """
    if campaign["state"] == "DRAFT" or campaign["engine"] == "LEGACY":
        return False
    if campaign["campaignKind"] in ("SCENARIZED", "TRANSACTIONAL"):
        return campaign["state"] == "ACTIVE" or _is_recent(campaign["finishedAt"], close_instant)
    if campaign.get("sentAt") is None:
        return bool(campaign["state"] == "ACTIVE")
    return _is_recent(campaign["sentAt"], close_instant)


def _is_recent(moment: str, close_instant: int) -> bool:
    return close_instant - milliseconds(moment) < CAMPAIGN_LIFE


@lru_cache(maxsize=64)
def campaigns_at(history: History, topic: str, cut: Cut) -> Mapping[int, Event]:
    """The campaigns known at a cut, by id, as they were announced last."""
    return {
        campaign: events[-1].body
        for campaign, events in by_entity(history.facts(topic, cut)).items()
    }
