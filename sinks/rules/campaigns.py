"""Campaigns whose activities count (SPEC §3, *Active campaigns only*, *Unknown campaigns*)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import ibis.expr.types as ir

from schemas.events import CampaignKind, CampaignState, Engine

__all__ = ["CAMPAIGN_LIFE", "CLOSES_TO_WAIT", "is_active"]

CAMPAIGN_LIFE: Final = timedelta(days=31)
"""How long a campaign counts after it was finished or sent. The end is excluded: at that moment it
no longer counts.
"""

CLOSES_TO_WAIT: Final = 3
"""Number of further closes at which a fact's unknown campaign is looked up."""

_CONTINUOUS = (CampaignKind.SCENARIZED.value, CampaignKind.TRANSACTIONAL.value)


def is_active(campaigns: ir.Table, since: ir.TimestampScalar) -> ir.BooleanColumn:
    """Whether a close exports activities of these campaigns.

    campaigns: their state as of the cut. since: the instant CAMPAIGN_LIFE before the cut.
    SCENARIZED and TRANSACTIONAL count while ACTIVE, and for CAMPAIGN_LIFE after they finished.
    ONE_SHOT and AB_TEST count while ACTIVE and not sent yet, and for CAMPAIGN_LIFE from the start
    of their sending. DRAFT and the LEGACY engine never count.
    """
    runs = campaigns["state"] == CampaignState.ACTIVE.value
    finished = campaigns["state"] == CampaignState.FINISHED.value
    continuous = runs | (finished & (campaigns["finishedAt"] > since).fill_null(False))
    once = (campaigns["sentAt"] > since).fill_null(runs)
    in_time = campaigns["campaignKind"].isin(_CONTINUOUS).ifelse(continuous, once)
    drafted = campaigns["state"] == CampaignState.DRAFT.value
    return in_time & ~drafted & (campaigns["engine"] != Engine.LEGACY.value)
