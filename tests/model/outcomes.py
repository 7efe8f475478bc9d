"""What can become of a record (SPEC §3, *Balance*)."""

DEAD_LETTER = "dead letter"
DUPLICATE = "duplicate"
FILTERED = "filtered"
NOT_FIRST = "not first"
WAITING = "waiting for its campaign"
UNKNOWN_CAMPAIGN = "unknown campaign"
INACTIVE_CAMPAIGN = "inactive campaign"
ROW_GONE = "row gone"
ALREADY_DOWNLOADED = "already downloaded"
SUPERSEDED = "superseded"
EXPORTED = "exported"

OUTCOMES = (
    DEAD_LETTER,
    DUPLICATE,
    FILTERED,
    NOT_FIRST,
    WAITING,
    UNKNOWN_CAMPAIGN,
    INACTIVE_CAMPAIGN,
    ROW_GONE,
    ALREADY_DOWNLOADED,
    SUPERSEDED,
    EXPORTED,
)
"""In the order of SPEC §3: the first that applies counts."""
