"""Reports posted as JSON to a URL, signed with HMAC-SHA256 (RFC 2104).

`Deltadrop-Signature: t=<seconds>,v1=<hex>` signs the moment of the sending, the report's id and the
body, as `<seconds>.<id>.<body>`. So nobody can send a report again later, or under another id. The
form is Stripe's, the content that of Standard Webhooks. `X-Deltadrop-Report` is the id; a report
that is posted twice has the same id, and another `t`. Without an answer of 2xx, it is posted again
later. Redirects are not followed.

`X-Deltadrop-Signature: sha256=<hex>`, over the body alone, is sent for one more release.
"""

from __future__ import annotations

import hashlib
import hmac
import time
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

SIGNATURE: Final = "Deltadrop-Signature"
_ID: Final = "X-Deltadrop-Report"
_OLD_SIGNATURE: Final = "X-Deltadrop-Signature"


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
                **_signatures(report.id, body, own.key()),
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


def signature(seconds: int, report_id: str, body: bytes, key: bytes) -> str:
    """Return a sending's signature as the header's value; seconds: of Unix time."""
    return f"t={seconds},v1={_code(f'{seconds}.{report_id}.'.encode() + body, key)}"


def _signatures(report_id: str, body: bytes, key: bytes) -> dict[str, str]:
    return {
        SIGNATURE: signature(int(time.time()), report_id, body, key),
        _OLD_SIGNATURE: f"sha256={_code(body, key)}",
    }


def _code(content: bytes, key: bytes) -> str:
    return hmac.new(key, content, hashlib.sha256).hexdigest()
