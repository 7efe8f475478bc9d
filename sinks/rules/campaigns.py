"""Which campaigns count (SPEC §3, *Active campaigns only* and *Unknown campaigns*)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import ibis
import ibis.expr.types as ir

from schemas.events import CampaignKind, CampaignState, Engine

__all__ = ["CAMPAIGN_LIFE", "CLOSES_TO_WAIT", "is_active"]

CAMPAIGN_LIFE: Final = timedelta(days=31)
"""How long a campaign counts after it was finished or sent; at the end of it exactly, it no longer
does.
"""

CLOSES_TO_WAIT: Final = 3
"""At how many further closes a fact's unknown campaign is looked up."""

_CONTINUOUS = (CampaignKind.SCENARIZED.value, CampaignKind.TRANSACTIONAL.value)


def is_active(campaigns: ir.Table, cut: datetime) -> ir.BooleanColumn:
    """Whether activities of these campaigns (state as of the cut) are exported by a close at this
    instant (UTC).

    SCENARIZED and TRANSACTIONAL count while ACTIVE and for a while after they finished; ONE_SHOT
    and AB_TEST from the start of their sending on, and already while ACTIVE and not sent yet; DRAFT
    and the LEGACY engine never.
    """
    since = ibis.literal(cut - CAMPAIGN_LIFE)
    runs = campaigns["state"] == CampaignState.ACTIVE.value
    finished = campaigns["state"] == CampaignState.FINISHED.value
    continuous = runs | (finished & (campaigns["finishedAt"] > since).fill_null(False))
    once = (campaigns["sentAt"] > since).fill_null(runs)
    in_time = campaigns["campaignKind"].isin(_CONTINUOUS).ifelse(continuous, once)
    drafted = campaigns["state"] == CampaignState.DRAFT.value
    return in_time & ~drafted & (campaigns["engine"] != Engine.LEGACY.value)
