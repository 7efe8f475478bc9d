"""Reports posted as JSON to a URL, signed with HMAC-SHA256 (RFC 2104) over the body.

`X-Deltadrop-Signature: sha256=<hex>` is the signature, `X-Deltadrop-Report` the report's id: one
that comes twice has the same. What isn't answered with 2xx is tried again; redirects are not
followed.
"""

from __future__ import annotations

import hashlib
import hmac
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from typing import IO, Final

from schemas.errors import ReportError
from schemas.report_settings import WebhookSettings
from sinks.reports.channel import UnreachableError, trusting
from sinks.reports.report import Report

__all__ = ["SIGNATURE", "Webhook", "body_of", "signature"]

SIGNATURE: Final = "X-Deltadrop-Signature"
_ID: Final = "X-Deltadrop-Report"


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where the settings' section `webhook` says (`url` is there)."""

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
        url = self.settings.url or ""
        try:
            body = body_of(report)
            headers = {
                "Content-Type": "application/json",
                _ID: report.id,
                SIGNATURE: signature(body, self.settings.key()),
            }
            request = urllib.request.Request(url, body, headers, method="POST")
            context = trusting(self.settings.ca_file, "webhook.ca_file")
            opener = urllib.request.build_opener(
                urllib.request.HTTPSHandler(context=context), _NoRedirects()
            )
            with opener.open(request, timeout=self.settings.timeout_seconds):
                pass
        except urllib.error.HTTPError as error:
            error.close()
            raise ReportError(
                f"the webhook answers {error.code} {error.reason}",
                where=url,
                hint="check `webhook.url` and what it says of the report",
            ) from error
        except (OSError, HTTPException) as error:
            raise UnreachableError(
                f"the webhook can't be reached: {error}",
                where=url,
                hint="check `webhook.url`, its certificate and its secret",
            ) from error


def body_of(report: Report) -> bytes:
    """The report as JSON; who else is told of it is not its receiver's business."""
    return report.model_dump_json(exclude={"recipients"}).encode()


def signature(body: bytes, key: bytes) -> str:
    """Sign a body, as the header has it."""
    return f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without its body."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        return None
