"""Reports posted as JSON to a URL, signed with HMAC-SHA256 (RFC 2104) over the body.

`X-Deltadrop-Signature: sha256=<hex>` is the signature, `X-Deltadrop-Report` the report's id: one
that comes twice has the same. What isn't answered with 2xx is tried again; redirects are not
followed.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from schemas.errors import ReportError
from schemas.settings.reports import WebhookSettings
from sinks.reports.channel import UnreachableError, cause_of, run_apart, time_limit, trusting
from sinks.reports.report import Report

__all__ = ["SIGNATURE", "Webhook", "body_of", "signature"]

SIGNATURE: Final = "X-Deltadrop-Signature"
_ID: Final = "X-Deltadrop-Report"


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where the settings' section `webhook` says (its URL is there)."""

    settings: WebhookSettings

    @property
    def name(self) -> str:
        """See Channel.name."""
        return "webhook"

    def wants(self, report: Report) -> bool:
        """See Channel.wants: every report."""
        return True

    def send(self, report: Report) -> None:
        """See Channel.send."""
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
                pass  # its body says nothing to us
        except (OSError, ValueError, ImportError, httpx.HTTPError, httpx.InvalidURL) as error:
            # The latter says the whole of an address that can't be used.
            is_wrong = isinstance(error, httpx.InvalidURL)
            why = type(error).__name__ if is_wrong else str(cause_of(error))
            raise UnreachableError(
                f"the webhook can't be reached: {why or type(error).__name__}",
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
    """The report as JSON; who else is told of it is not its receiver's business."""
    return report.model_dump_json(exclude={"recipients"}).encode()


def signature(body: bytes, key: bytes) -> str:
    """Sign a body, as the header has it."""
    return f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"
