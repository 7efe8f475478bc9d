"""Listeners of Kafka that require TLS, a login, or a client certificate."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.parts.certificates import Certificate
from deploy.parts.ports import HOST, free_port

__all__ = ["Listener", "login_listener", "mutual_tls_listener", "unencrypted_login_listener"]

_LOGIN_MODULES = "org.apache.kafka.common.security"


@dataclass(frozen=True, slots=True)
class Listener:
    """A listener, named by its protocol, with its properties for the broker."""

    protocol: str
    port: int
    properties: Mapping[str, str]
    scram_users: tuple[str, ...] = field(default=())  # in the storage tool's format

    @property
    def address(self) -> str:
        """The listener's address for the broker's properties."""
        return f"{self.protocol}://{self.servers}"

    @property
    def servers(self) -> str:
        """The listener's address for clients."""
        return f"{HOST}:{self.port}"


def login_listener(certificate: Certificate, username: str, password: str) -> Listener:
    """A SASL_SSL listener, for a user who logs in with PLAIN or SCRAM-SHA-512."""
    own = {**_login("sasl_ssl", username, password), **_tls("sasl_ssl", certificate)}
    return Listener("SASL_SSL", free_port(), own, (_scram_user(username, password),))


def unencrypted_login_listener(username: str, password: str) -> Listener:
    """A SASL_PLAINTEXT listener, for the user of ``login_listener``."""
    return Listener("SASL_PLAINTEXT", free_port(), _login("sasl_plaintext", username, password))


def mutual_tls_listener(certificate: Certificate, clients: Path) -> Listener:
    """An SSL listener, for clients with a certificate of an authority in ``clients`` (PEM)."""
    own = {
        **_tls("ssl", certificate),
        "listener.name.ssl.ssl.client.auth": "required",
        "listener.name.ssl.ssl.truststore.type": "PEM",
        "listener.name.ssl.ssl.truststore.location": str(clients),
    }
    return Listener("SSL", free_port(), own)


def _tls(name: str, certificate: Certificate) -> dict[str, str]:
    store = certificate.key.with_suffix(".store.pem")
    store.write_bytes(certificate.key.read_bytes() + certificate.certificate.read_bytes())
    return {
        f"listener.name.{name}.ssl.keystore.type": "PEM",
        f"listener.name.{name}.ssl.keystore.location": str(store),
    }


def _login(name: str, username: str, password: str) -> dict[str, str]:
    modules = {
        "plain": f'plain.PlainLoginModule required user_{username}="{password}";',
        "scram-sha-512": "scram.ScramLoginModule required;",
    }
    jaas = {
        f"listener.name.{name}.{mechanism}.sasl.jaas.config": f"{_LOGIN_MODULES}.{module}"
        for mechanism, module in modules.items()
    }
    return {**jaas, f"listener.name.{name}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512"}


def _scram_user(username: str, password: str) -> str:
    return f"SCRAM-SHA-512=[name={username},password={password}]"
