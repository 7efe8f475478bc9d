"""Check that a mail server is set up for recipients. No close fails without one, so it is a
warning.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.errors import Fault
from schemas.settings.settings import Settings
from sinks.exports.export import Export

__all__ = ["recipients_without_mail"]


def recipients_without_mail(settings: Settings, exports: Sequence[Export]) -> Fault | None:
    """Return a warning if exports have recipients and no mail server is set up; None otherwise."""
    named = [f"'{export.name}'" for export in exports if export.definition.recipients]
    if settings.mail.host is not None or not named:
        return None
    return Fault(
        str(settings.source.path),
        f"field 'mail.host': is missing, so the recipients of {', '.join(named)} get no mail",
        "set it, or remove their recipients",
    )
