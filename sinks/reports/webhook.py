"""Reports posted as JSON to a URL, signed with HMAC-SHA256 (RFC 2104) over the body.

`X-Deltadrop-Signature: sha256=<hex>` is the signature, `X-Deltadrop-Report` the report's id: one
that comes twice has the same. What isn't answered with 2xx is tried again; redirects are not
followed.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import partial
from http.client import (
    HTTPConnection,
    HTTPException,
    HTTPMessage,
    HTTPResponse,
    HTTPSConnection,
    InvalidURL,
)
from typing import IO, Any, Final

from schemas.errors import ReportError
from schemas.settings.reports import WebhookSettings
from sinks.reports.channel import UnreachableError, trusting
from sinks.reports.deadline import Deadline
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
        own = self.settings
        hint = "it is tried again; if it's only slow, raise `webhook.total_seconds`"
        with Deadline(own.total_seconds, where=own.shown(), hint=hint) as deadline:
            self._post(report, deadline)

    def _post(self, report: Report, deadline: Deadline) -> None:
        where = self.settings.shown()
        try:
            with self._opener(deadline).open(
                self._request(report), timeout=self.settings.timeout_seconds
            ):
                pass
        except urllib.error.HTTPError as error:
            error.close()
            raise ReportError(
                f"the webhook answers {error.code} {error.reason}",
                where=where,
                hint="check `webhook.url` and what it says of the report",
            ) from error
        except (OSError, HTTPException, ValueError) as error:
            raise UnreachableError(
                f"the webhook can't be reached: {_said(error)}",
                where=where,
                hint="check `webhook.url`, its certificate and its secret",
            ) from error

    def _request(self, report: Report) -> urllib.request.Request:
        body = body_of(report)
        headers = {
            "Content-Type": "application/json",
            _ID: report.id,
            SIGNATURE: signature(body, self.settings.key()),
        }
        return urllib.request.Request(self.settings.address(), body, headers, method="POST")

    def _opener(self, deadline: Deadline) -> urllib.request.OpenerDirector:
        context = trusting(self.settings.ca_file, "webhook.ca_file")
        return urllib.request.build_opener(
            _Http(deadline), _Https(deadline, context), _NoRedirects()
        )


def _said(error: Exception) -> str:
    """What is wrong; http.client tells the whole of an address that can't be used."""
    return type(error).__name__ if isinstance(error, InvalidURL) else str(error)


def body_of(report: Report) -> bytes:
    """The report as JSON; who else is told of it is not its receiver's business."""
    return report.model_dump_json(exclude={"recipients"}).encode()


def signature(body: bytes, key: bytes) -> str:
    """Sign a body, as the header has it."""
    return f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"


class _Watched(HTTPConnection):
    """A connection whose end is its deadline's."""

    deadline: Deadline

    def connect(self) -> None:
        super().connect()
        self.deadline.watch(self.sock)


class _WatchedTls(HTTPSConnection, _Watched):
    """The same; it is watched before TLS begins."""


class _Http(urllib.request.HTTPHandler):
    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(partial(_connection, _Watched, self._deadline), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, deadline: Deadline, context: ssl.SSLContext) -> None:
        super().__init__()
        self._deadline, self._tls = deadline, context

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        made = partial(_connection, _WatchedTls, self._deadline)
        return self.do_open(made, req, context=self._tls)


def _connection(
    kind: type[_Watched], deadline: Deadline, host: str, /, **options: Any
) -> HTTPConnection:
    made = kind(host, **options)
    made.deadline = deadline
    return made


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
