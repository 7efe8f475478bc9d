"""A real mail server for tests: aiosmtpd with STARTTLS and login, and a certificate of its own."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

USER, PASSWORD = "deltadrop", "s3cret"
REFUSED = "nobody@shop.example"
GREYLISTED = "later@shop.example"


@dataclass
class Mailbox:
    """What arrived, and where the server is."""

    folder: Path
    port: int = 0
    envelopes: list[Envelope] = field(default_factory=list)

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def messages(self) -> list[EmailMessage]:
        return [_message(envelope) for envelope in self.envelopes]

    async def handle_RCPT(
        self, server: SMTP, session: Any, envelope: Envelope, address: str, options: Any
    ) -> str:
        if address == REFUSED:
            return "550 no such mailbox"
        if address == GREYLISTED:
            return "451 come back in a minute"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Envelope) -> str:
        assert session.ssl is not None  # nothing comes in the clear
        self.envelopes.append(envelope)
        return "250 OK"


class _Listening(Controller):
    """A controller on a port that the system chose."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def mail_server(folder: Path, port: int = 0, host: str = "localhost") -> Iterator[Mailbox]:
    """Run one; host: whom its certificate is of."""
    mailbox = Mailbox(folder)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(mailbox.ca_file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host).configure_cert(context)
    server = _Listening(
        mailbox,
        hostname="127.0.0.1",
        port=port,
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=_authenticated,
    )
    server.start()
    mailbox.port = server.port
    try:
        yield mailbox
    finally:
        server.stop()


def _authenticated(
    server: SMTP, session: Any, envelope: Any, mechanism: str, given: Any
) -> AuthResult:
    known = LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=given == known, handled=False)


def _message(envelope: Envelope) -> EmailMessage:
    assert isinstance(envelope.content, bytes)
    message = message_from_bytes(envelope.content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message
