"""Reports posted as JSON to a URL, signed with HMAC-SHA256 (RFC 2104) over the body.

`X-Deltadrop-Signature: sha256=<hex>` is the signature. `X-Deltadrop-Report` is the report's id; a
report that is posted twice has the same id. Without an answer of 2xx, it is posted again later.
Redirects are not followed.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from schemas.errors import ReportError
from schemas.settings.reports import WebhookSettings
from sinks.reports.channel import (
    UnreachableError,
    cause_of,
    reason_of,
    run_apart,
    time_limit,
    trusting,
)
from sinks.reports.report import Report

__all__ = ["SIGNATURE", "Webhook", "body_of", "signature"]

SIGNATURE: Final = "X-Deltadrop-Signature"
_ID: Final = "X-Deltadrop-Report"


@dataclass(frozen=True, slots=True)
class Webhook:
    """The webhook of the settings' section `webhook`; its URL is set."""

    settings: WebhookSettings

    @property
    def name(self) -> str:
        """See ReportChannel.name."""
        return "webhook"

    def wants(self, report: Report) -> bool:
        """See ReportChannel.wants: every report."""
        return True

    def send(self, report: Report) -> None:
        """See ReportChannel.send."""
        run_apart(self._post_within_limit(report))

    async def _post_within_limit(self, report: Report) -> None:
        own = self.settings
        hint = "it is tried again; if it's only slow, raise `webhook.total_seconds`"
        async with time_limit(own.total_seconds, where=own.shown(), hint=hint):
            await self._post(report)

    async def _post(self, report: Report) -> None:
        import httpx

        own, body = self.settings, body_of(report)
        context = trusting(own.ca_file, "webhook.ca_file")
        try:
            headers = {
                "Content-Type": "application/json",
                _ID: report.id,
                SIGNATURE: signature(body, own.key()),
            }
            async with (
                httpx.AsyncClient(verify=context, timeout=own.timeout_seconds) as client,
                client.stream("POST", own.address(), content=body, headers=headers) as answer,
            ):
                pass  # the answer's body isn't used
        except (OSError, ValueError, ImportError, httpx.HTTPError, httpx.InvalidURL) as error:
            # InvalidURL's text has the whole URL, which may be a secret.
            is_wrong = isinstance(error, httpx.InvalidURL)
            why = type(error).__name__ if is_wrong else reason_of(cause_of(error))
            raise UnreachableError(
                f"the webhook can't be reached: {why}",
                where=own.shown(),
                hint="check `webhook.url`, its certificate and its secret",
            ) from error
        if not answer.is_success:
            raise ReportError(
                f"the webhook answers {answer.status_code} {answer.reason_phrase}",
                where=own.shown(),
                hint="check `webhook.url` and what it says of the report",
            )


def body_of(report: Report) -> bytes:
    """Return the report as JSON, without its recipients, which don't concern the receiver."""
    return report.model_dump_json(exclude={"recipients"}).encode()


def signature(body: bytes, key: bytes) -> str:
    """Return a body's signature as the header's value."""
    return f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"
