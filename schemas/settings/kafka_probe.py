"""The first words with a broker, by ourselves: TLS, a greeting, and the login.

Clients of Kafka try again and again where a broker refuses them, log each try, and say in the end
that they have waited. Asked once before them, it says at once what is wrong. (Kafka's protocol
guide: ApiVersions, SaslHandshake, SaslAuthenticate; KIP-152)
"""

from __future__ import annotations

import socket
import ssl
import struct
from typing import Final

from kafka.net.sasl import get_sasl_mechanism

from schemas.settings.kafka import KafkaSecurity, KafkaSettings
from schemas.settings.kafka_access import client_options

__all__ = ["KafkaRefusedError", "greet"]

_CONNECT_SECONDS: Final = 3
_ANSWER_SECONDS: Final = 10
_LONGEST: Final = 1 << 20  # bytes of an answer; none to a greeting has as many
_CLIENT: Final = b"deltadrop"

_SASL_HANDSHAKE: Final = 17
_API_VERSIONS: Final = 18
_SASL_AUTHENTICATE: Final = 36
_UNSUPPORTED_MECHANISM: Final = 33
_TLS_ALERT: Final = b"\x15\x03"  # how a server answers that speaks TLS (RFC 8446, 5.1)

_WRONG_NAME: Final = (62, 64)  # of a host, of an IP address (OpenSSL, x509_vfy.h)
_WRONG_TIME: Final = (9, 10)

_WHICH: Final = "check the port in kafka.bootstrap_servers, and kafka.security.protocol"
_LOGIN: Final = (
    "check kafka.security.username, and the password in DELTADROP_KAFKA__SECURITY__PASSWORD or in"
    " kafka.security.password_file"
)


class KafkaRefusedError(Exception):
    """A broker refuses us, or we refuse it; asking again doesn't help."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


def greet(server: str, kafka: KafkaSettings) -> None:
    """Connect to a server (host:port) as clients do, log in, and leave.

    Raises KafkaRefusedError where that can't succeed as things are, OSError or ValueError where
    nothing answers as Kafka does, so that asking again may help, DefinitionError where a file of
    the settings can't be used.
    """
    options = client_options(kafka)
    host, _, port = server.rpartition(":")
    host = host.strip("[]")
    with socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS) as plain:
        plain.settimeout(_ANSWER_SECONDS)
        context = options.get("ssl_context")
        if not isinstance(context, ssl.SSLContext):
            _introduce(_Talk(plain), kafka.security, options)
            return
        try:
            with context.wrap_socket(plain, server_hostname=host) as encrypted:
                _introduce(_Talk(encrypted), kafka.security, options)
        except ssl.SSLError as error:
            raise _of_tls(error, kafka.security) from error


def _introduce(talk: _Talk, security: KafkaSecurity, options: dict[str, object]) -> None:
    talk.ask(_API_VERSIONS, 0, b"")
    if security.has_login:
        _log_in(talk, security, options)


def _log_in(talk: _Talk, security: KafkaSecurity, options: dict[str, object]) -> None:
    asked = str(security.mechanism)
    answer = talk.ask(_SASL_HANDSHAKE, 1, _text(asked.encode()))
    code, known = answer.number("h"), [answer.text() for _ in range(answer.number("i"))]
    if code == _UNSUPPORTED_MECHANISM and known:
        hint = "set kafka.security.mechanism to one of these"
        raise KafkaRefusedError(f"knows no login by {asked}, only by {', '.join(known)}", hint)
    if code:
        raise KafkaRefusedError(f"takes no login (error {code})", _WHICH)
    mechanism = get_sasl_mechanism(asked)(**options)
    while not mechanism.is_done():
        token = mechanism.auth_bytes()
        answer = talk.ask(_SASL_AUTHENTICATE, 0, struct.pack(">i", len(token)) + token)
        code, why = answer.number("h"), answer.text()
        if code:
            raise KafkaRefusedError(f"refuses the login of '{security.username}' ({why})", _LOGIN)
        try:
            mechanism.receive(answer.blob())
        except (KeyError, ValueError) as error:
            what = "doesn't prove that it knows the password, as SCRAM asks of a server"
            raise KafkaRefusedError(
                what, "is this your Kafka? check kafka.bootstrap_servers"
            ) from error


def _of_tls(error: ssl.SSLError, security: KafkaSecurity) -> Exception:
    """What an error of TLS says of a broker: a KafkaRefusedError, or what may pass."""
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


class _Talk:
    """Requests and answers on a connection, one at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def ask(self, key: int, version: int, body: bytes) -> _Answer:
        """Send a request (header version 1) and wait for its answer (header version 0)."""
        request = struct.pack(">hhi", key, version, key) + _text(_CLIENT) + body
        self._connection.sendall(struct.pack(">i", len(request)) + request)
        head = self._received(4)
        if head.startswith(_TLS_ALERT):
            raise KafkaRefusedError("speaks TLS there, which isn't asked for", _WHICH)
        size, number = struct.unpack(">ii", head + self._received(4))
        if number != key or not 4 <= size <= _LONGEST:
            raise KafkaRefusedError("doesn't answer as Kafka does", _WHICH)
        return _Answer(self._received(size - 4))

    def _received(self, count: int) -> bytes:
        got = b""
        while len(got) < count:
            more = self._connection.recv(count - len(got))
            if not more:
                raise ConnectionError("it closes the connection; has it another protocol?")
            got += more
        return got


class _Answer:
    """The fields of an answer, read in their order."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def number(self, form: str) -> int:
        """The next field as a number: `h` of 2 bytes, `i` of 4."""
        size = struct.calcsize(form)
        (number,) = struct.unpack(f">{form}", self._take(size))
        return int(number)

    def text(self) -> str:
        """The next field as text; empty where it's null."""
        return self._take(max(self.number("h"), 0)).decode(errors="replace")

    def blob(self) -> bytes:
        """The next field as bytes."""
        return self._take(max(self.number("i"), 0))

    def _take(self, count: int) -> bytes:
        taken, self._data = self._data[:count], self._data[count:]
        if len(taken) < count:
            raise ValueError("an answer is cut off")
        return taken


def _text(value: bytes) -> bytes:
    return struct.pack(">h", len(value)) + value
