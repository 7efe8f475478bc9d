"""FTPS: FTP over TLS (RFC 4217), explicit or implicit, by libcurl.

The server's certificate is checked against its name. Data connections are passive; each resumes the
control connection's TLS session, as many servers require. FTP's rename overwrites an existing file.
Therefore the target is looked up just before, and closers on one machine take turns.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from schemas.definitions.definitions import AtError
from sinks.locations.ftps.session import FtpsSession
from sinks.locations.limits import Limit
from sinks.locations.remote import RemoteLocation
from sinks.locations.settings import RemoteSettings, authorities, secret

__all__ = ["Ftps", "FtpsSettings"]

_PORTS: Final[Mapping[str, int]] = {"explicit": 21, "implicit": 990}


class FtpsSettings(RemoteSettings):
    """Settings of an FTPS server; FTP without TLS isn't supported."""

    kind: Literal["ftps"]
    tls: Literal["explicit", "implicit"] = "explicit"
    port: Annotated[int, Field(gt=0, lt=65536)] | None = None
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> FtpsSettings:
        if (self.password_env is None) == (self.password_file is None):
            raise AtError((), "password_env or password_file (one of them) says how to log in")
        return self

    def location(self, name: str, locks: Path) -> Ftps:
        """See LocationSettings.location."""
        return Ftps(name, locks, self)


@dataclass(frozen=True)
class Ftps(RemoteLocation):
    """An FTPS server."""

    settings: FtpsSettings

    @property
    def server(self) -> str:
        """See RemoteLocation.server."""
        settings = self.settings
        return f"ftps://{settings.username}@{settings.host}:{settings.port or _PORTS[settings.tls]}"

    @contextmanager
    def connect(self) -> Iterator[FtpsSession]:
        """See RemoteLocation.connect."""
        import pycurl

        curl, timeout = pycurl.Curl(), self.settings.timeout_seconds
        try:
            limit = Limit(self.settings.attempt_seconds, self.server)
            session = FtpsSession(curl, self._url(), self.server, self._options(), timeout, limit)
            session.log_in()
            yield session
        finally:
            curl.close()

    def _url(self) -> str:
        settings = self.settings
        scheme = "ftps" if settings.tls == "implicit" else "ftp"
        return f"{scheme}://{settings.host}:{settings.port or _PORTS[settings.tls]}/"

    def _options(self) -> dict[int, object]:
        import pycurl

        settings = self.settings
        password = secret("the password", settings.password_env, settings.password_file, self.name)
        trusted = authorities(settings.ca_file, self.name)
        trusted = trusted or ssl.get_default_verify_paths().cafile
        options: dict[int, object] = {
            pycurl.USERNAME: settings.username,
            pycurl.PASSWORD: password,
            pycurl.USE_SSL: pycurl.USESSL_ALL,
            pycurl.FTPSSLAUTH: pycurl.FTPAUTH_TLS,
            pycurl.SSL_VERIFYPEER: 1,
            pycurl.SSL_VERIFYHOST: 2,
            pycurl.FTP_FILEMETHOD: pycurl.FTPMETHOD_NOCWD,
            pycurl.NOSIGNAL: 1,
            pycurl.CONNECTTIMEOUT_MS: int(settings.timeout_seconds * 1000),
            pycurl.FTP_RESPONSE_TIMEOUT: max(1, round(settings.timeout_seconds)),
            pycurl.LOW_SPEED_LIMIT: 1,
            pycurl.LOW_SPEED_TIME: max(1, round(settings.timeout_seconds)),
        }
        if trusted is not None:
            options[pycurl.CAINFO] = trusted
        return options
