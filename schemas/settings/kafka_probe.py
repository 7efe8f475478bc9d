"""Find out why a broker refuses us: connect and log in once, before Kafka's clients do.

If a broker refuses clients, they try again and again, log each attempt, and finally report only a
time-out. Here kafka-python writes the requests, reads the answers and computes the logins. They are
sent over a socket of our own, so that errors of the network and of TLS arrive unchanged. (KIP-152)
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Mapping
from typing import Any, Final

from kafka.errors import KafkaProtocolError, UnsupportedSaslMechanismError
from kafka.net.sasl import get_sasl_mechanism
from kafka.protocol.metadata import ApiVersionsRequest
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.sasl import SaslAuthenticateRequest, SaslHandshakeRequest

from schemas.settings.kafka import KafkaSecurity, KafkaSettings
from schemas.settings.kafka_access import client_options

__all__ = ["KafkaRefusedError", "probe"]

_CONNECT_SECONDS: Final = 3
"""Seconds to connect to each address of a server."""
_ANSWER_SECONDS: Final = 10
"""Seconds for everything after the connection: TLS, greeting and login."""

_LONGEST: Final = 1 << 20  # bytes; no answer to a greeting has as many
_TLS_ALERT: Final = b"\x15\x03"  # first bytes of a server that speaks TLS (RFC 8446, 5.1)

_WRONG_NAME: Final = (62, 64)  # of a host, of an IP address (OpenSSL, x509_vfy.h)
_WRONG_TIME: Final = (9, 10)

_WHICH: Final = "check the port in kafka.bootstrap_servers, and kafka.security.protocol"
_LOGIN: Final = (
    "check kafka.security.username, and the password in DELTADROP_KAFKA__SECURITY__PASSWORD or in"
    " kafka.security.password_file"
)


class KafkaRefusedError(Exception):
    """A broker refuses us, or we refuse it; another attempt doesn't help."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


def probe(server: str, kafka: KafkaSettings) -> None:
    """Connect to a server (host:port) as clients do, log in, and close the connection.

    Raises KafkaRefusedError if this can't succeed without a change. Raises OSError if nothing
    answers as Kafka does, so that another attempt may help. Raises DefinitionError if a file of the
    settings can't be used.
    """
    options = client_options(kafka)
    host, _, port = server.rpartition(":")
    host = host.strip("[]")
    with socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS) as plain:
        deadline = time.monotonic() + _ANSWER_SECONDS
        plain.settimeout(_ANSWER_SECONDS)
        context = options.get("ssl_context")
        if not isinstance(context, ssl.SSLContext):
            _introduce(_Conversation(plain, deadline), kafka.security, options)
            return
        try:
            with context.wrap_socket(plain, server_hostname=host) as encrypted:
                _introduce(_Conversation(encrypted, deadline), kafka.security, options)
        except ssl.SSLError as error:
            raise _of_tls(error, kafka.security) from error


class _Conversation:
    """Requests and answers on a connection, one at a time, until a deadline."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._protocol = KafkaProtocol(receive_message_max_bytes=_LONGEST)
        self._has_answered = False

    def answer(self, request: Any) -> Any:
        """Send a request of kafka-python and return its answer."""
        self._protocol.send_request(request)
        self._connection.sendall(self._protocol.send_bytes())
        while True:
            if (left := self._deadline - time.monotonic()) <= 0:
                raise TimeoutError("timed out")
            self._connection.settimeout(left)
            received = self._connection.recv(_LONGEST)
            if not received:
                raise ConnectionError("it closes the connection; has it another protocol?")
            if not self._has_answered and received.startswith(_TLS_ALERT):
                raise KafkaRefusedError("speaks TLS there, which isn't asked for", _WHICH)
            self._has_answered = True
            try:
                for _, answer in self._protocol.receive_bytes(received):
                    return answer
            except (KafkaProtocolError, struct.error) as error:  # the latter of too short a frame
                raise KafkaRefusedError("doesn't answer as Kafka does", _WHICH) from error


def _introduce(
    conversation: _Conversation, security: KafkaSecurity, options: Mapping[str, Any]
) -> None:
    conversation.answer(ApiVersionsRequest[0]())
    if not security.has_login:
        return
    wanted = options["sasl_mechanism"]
    offer = conversation.answer(SaslHandshakeRequest[1](mechanism=wanted))
    if offer.error_code == UnsupportedSaslMechanismError.errno and offer.mechanisms:
        what = f"knows no login by {wanted}, only by {', '.join(offer.mechanisms)}"
        raise KafkaRefusedError(what, "set kafka.security.mechanism to one of these")
    if offer.error_code:
        raise KafkaRefusedError(f"takes no login (error {offer.error_code})", _WHICH)
    mechanism = get_sasl_mechanism(wanted)(**options)
    while not mechanism.is_done():
        answer = conversation.answer(SaslAuthenticateRequest[0](mechanism.auth_bytes()))
        if answer.error_code:
            what = f"refuses the login of '{security.username}' ({answer.error_message or ''})"
            raise KafkaRefusedError(what, _LOGIN)
        try:
            mechanism.receive(answer.auth_bytes)
        except (KeyError, ValueError) as error:
            what = "doesn't prove that it knows the password, as SCRAM asks of a server"
            hint = "is this your Kafka? check kafka.bootstrap_servers"
            raise KafkaRefusedError(what, hint) from error


def _of_tls(error: ssl.SSLError, security: KafkaSecurity) -> Exception:
    """Return the error for an error of TLS: a KafkaRefusedError, or an OSError if it may pass."""
    reason = str(error.reason or error).replace("_", " ").lower()
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".")
        if error.verify_code in _WRONG_NAME:
            hint = "write a name that the certificate has in kafka.bootstrap_servers"
            return KafkaRefusedError(f"shows a certificate of another name ({why})", hint)
        if error.verify_code in _WRONG_TIME:
            return KafkaRefusedError(
                f"shows a certificate that isn't valid now ({why})", "renew it"
            )
        hint = "name the certificate of its authority in kafka.security.ca_file"
        return KafkaRefusedError(f"shows a certificate that isn't trusted ({why})", hint)
    if "alert" in reason and ("certificate" in reason or "unknown ca" in reason):
        ours = security.certificate_file or "none is set"
        hint = "check kafka.security.certificate_file and key_file"
        return KafkaRefusedError(f"doesn't accept our certificate ({ours}): {reason}", hint)
    if "wrong version number" in reason or "record layer" in reason:
        return KafkaRefusedError("doesn't speak TLS there", _WHICH)
    return OSError(f"TLS: {reason}")
