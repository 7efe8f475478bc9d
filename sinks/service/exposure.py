"""What of an installation's settings lets others read secrets or drops: warned of, as it stops
nothing; and secrets that are empty, which are refused.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from schemas.errors import Fault
from schemas.settings.secret_files import looked_at, secret_files
from schemas.settings.settings import Settings
from sinks.locations import Destination, Locations
from sinks.locations.s3 import S3Settings

__all__ = ["empty_secrets", "exposures", "exposures_of_location"]

_OUTSIDE: Final = "use https outside a network that you trust"


def empty_secrets(settings: Settings, locations: Locations) -> Iterator[Fault]:
    """Yield a fault for each secret's file that is there and empty."""
    for name, file in _files(settings, locations):
        fault, _ = looked_at(name, file)
        if fault is not None:
            yield fault


def exposures(settings: Settings, locations: Locations) -> Iterator[Fault]:
    """Yield a warning for each secret's file that everybody may read, and for each connection that
    isn't encrypted though it carries a login, drops or reports.
    """
    for section in ("kafka", "registry", "mail", "webhook"):
        for name, file in secret_files(getattr(settings, section), section):
            yield from _readable(name, file)
    if settings.kafka.security.protocol == "SASL_PLAINTEXT":
        what = "login and events travel unencrypted (SASL_PLAINTEXT)"
        hint = "use SASL_SSL outside a network that you trust"
        yield Fault("kafka.security.protocol", what, hint)
    registry = settings.registry
    if registry.username is not None and _is_open(registry.url):
        yield Fault("registry.url", "the login travels unencrypted", _OUTSIDE)
    if settings.webhook.url is not None and _is_open(settings.webhook.url.get_secret_value()):
        yield Fault("webhook.url", "reports travel unencrypted", _OUTSIDE)
    for name, destination in locations.items():
        yield from exposures_of_location(name, destination)


def exposures_of_location(name: str, destination: Destination) -> Iterator[Fault]:
    """Yield the same warnings for one location."""
    own = destination.settings
    if own is None:
        return
    for setting, file in secret_files(own, f"locations.{name}"):
        yield from _readable(setting, file)
    if isinstance(own, S3Settings) and own.endpoint is not None and _is_open(own.endpoint):
        what = "drops travel unencrypted, and whoever reads them can replay the requests"
        yield Fault(f"locations.{name}.endpoint", what, _OUTSIDE)


def _files(settings: Settings, locations: Locations) -> Iterator[tuple[str, Path]]:
    for section in ("kafka", "registry", "mail", "webhook"):
        yield from secret_files(getattr(settings, section), section)
    for name, destination in locations.items():
        if destination.settings is not None:
            yield from secret_files(destination.settings, f"locations.{name}")


def _readable(name: str, file: Path) -> Iterator[Fault]:
    _, warning = looked_at(name, file)
    if warning is not None:
        yield warning


def _is_open(url: str) -> bool:
    """Whether a URL is called without TLS, on another machine."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_here(parts.hostname or "")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
