"""A lease in the store: of all processes that ask for it, one has it, until it expires.

A grant is a file, created if absent, so that one process wins each number; the highest is the one
that counts. Renewing, taking over after the expiry and giving up are
all a next number. The *fence* counts tenures: it grows whenever the lease changes hands, so that
logs and `status` tell two holders apart. A grant that ends further ahead than twice its length was
made by a clock that was wrong, and counts as free: it would block the lease for ever.

A holder that was frozen past its expiry finds a higher number when it wakes, and has lost. What it
does until it looks can do no harm: whatever a close records is created if absent, too
(`sinks.ledger.ledger`).
"""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import structlog

from schemas.errors import DeltadropError
from sinks.instants import utc_now
from streams.storage.paths import StoredPath
from streams.storage.store import Store

__all__ = ["SCHEDULERS", "Grant", "GrantPath", "Keeper", "Lease", "latest_grant", "process_name"]

log = structlog.get_logger(__name__)

SCHEDULERS: Final = "schedule"
"""Name of the lease that the working scheduler has."""

_RETAINED: Final = 3
"""Grants that stay, the last ones: a reader that listed them finds what it listed."""
_FURTHEST: Final = 2.0
"""Times its length that a grant may end from now: clocks that disagree by less do no harm."""
_RENEWALS: Final = 3
"""Times that a lease is renewed within its length, so that two may fail."""


@dataclass(frozen=True, slots=True, order=True)
class GrantPath(StoredPath):
    """Name of a grant of a lease."""

    TEMPLATE: ClassVar = "leases/{lease}/{number:012d}.json"
    WHAT: ClassVar = "a grant of a lease"

    lease: str
    number: int


@dataclass(frozen=True, slots=True)
class Grant:
    """One entry of a lease: who has it, in which tenure, until when; seconds: its length."""

    number: int
    fence: int
    holder: str
    expires_at: dt.datetime
    released: bool = False
    seconds: float = math.inf

    def is_free(self, now: dt.datetime) -> bool:
        """Whether another process may take the lease."""
        left = (self.expires_at - now).total_seconds()
        return self.released or left <= 0 or left > _FURTHEST * self.seconds

    def to_json(self) -> bytes:
        """Serialise; the number is in the name."""
        fields = {
            "fence": self.fence,
            "holder": self.holder,
            "expires_at": self.expires_at.isoformat(),
            "released": self.released,
            **({"seconds": self.seconds} if math.isfinite(self.seconds) else {}),
        }
        return json.dumps(fields).encode()

    @classmethod
    def from_json(cls, number: int, content: bytes) -> Grant:
        """Read back what `to_json` wrote."""
        fields: dict[str, Any] = json.loads(content)
        expires_at = dt.datetime.fromisoformat(fields["expires_at"])
        seconds = fields.get("seconds", math.inf)
        return cls(
            number, fields["fence"], fields["holder"], expires_at, fields["released"], seconds
        )


def latest_grant(store: Store, name: str) -> Grant | None:
    """Return the grant that counts of a lease, if there ever was one."""
    while True:
        path = max(_grants(store, name), default=None)
        if path is None:
            return None
        try:
            return Grant.from_json(path.number, store.read(str(path)))
        except FileNotFoundError:
            continue  # it was cleared away, so there is a higher one


class Lease:
    """One lease, as one process sees it.

    holder: a name that no other process has. seconds: how long a grant lasts; the machines' clocks
    should agree to within a small part of it (where they don't, work may be done twice, which
    changes nothing).
    """

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        holder: str,
        seconds: float,
        now: Callable[[], dt.datetime] = utc_now,
    ) -> None:
        self.seconds = seconds
        self.holder = holder
        self._store = store
        self._name = name
        self._now = now

    def take(self) -> Grant | None:
        """Take the lease if it is free, or renew it; None where another has it."""
        latest, now = latest_grant(self._store, self._name), self._now()
        if latest is None:
            return self._grant(1, 1, now)
        if latest.holder == self.holder and not latest.released:
            return self._grant(latest.number + 1, latest.fence, now)
        if latest.is_free(now):
            return self._grant(latest.number + 1, latest.fence + 1, now)
        return None

    def release(self) -> None:
        """Give the lease up, so that another may have it at once."""
        latest = latest_grant(self._store, self._name)
        if latest is None or latest.holder != self.holder or latest.released:
            return
        given_up = Grant(latest.number + 1, latest.fence, self.holder, self._now(), released=True)
        self._store.create(self._file(given_up.number), given_up.to_json())

    def _grant(self, number: int, fence: int, now: dt.datetime) -> Grant | None:
        expires_at = now + dt.timedelta(seconds=self.seconds)
        grant = Grant(number, fence, self.holder, expires_at, seconds=self.seconds)
        if not self._store.create(self._file(number), grant.to_json()):
            return None
        if latest_grant(self._store, self._name) != grant:
            return None  # it was old news: others went on, and cleared this number away
        self._clear_before(number)
        return grant

    def _clear_before(self, number: int) -> None:
        for path in list(_grants(self._store, self._name)):
            if path.number <= number - _RETAINED:
                self._store.remove(str(path))

    def _file(self, number: int) -> str:
        return str(GrantPath(self._name, number))


class Keeper:
    """Takes a lease when it is free and keeps it, in a thread of its own."""

    def __init__(
        self,
        lease: Lease,
        now: Callable[[], dt.datetime] = utc_now,
    ) -> None:
        self._lease = lease
        self._now = now
        self._grant: Grant | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    @property
    def held(self) -> bool:
        """Whether this process has the lease now."""
        grant = self._grant
        return grant is not None and not grant.is_free(self._now())

    def __enter__(self) -> Keeper:
        """Try to take it, and go on trying in the background."""
        self._try()
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Give it up."""
        self._ended.set()
        self._thread.join()
        try:
            self._lease.release()
        except DeltadropError as failure:
            log.warning("lease not given up: it will expire", error=str(failure))

    def _keep(self) -> None:
        while not self._ended.wait(self._lease.seconds / _RENEWALS):
            self._try()

    def _try(self) -> None:
        before = self._grant
        try:
            grant = self._lease.take()
        except Exception as error:  # whatever it is, it must not end the thread
            log.warning("lease not renewed", error=str(error))
            return
        self._grant = grant
        if grant is not None and (before is None or before.fence != grant.fence):
            log.info("lease taken", holder=grant.holder, fence=grant.fence)
        if grant is None and before is not None:
            log.warning("lease lost: another scheduler goes on", fence=before.fence)


def process_name() -> str:
    """Name this process as no other is named: host, process, and a random part."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def _grants(store: Store, name: str) -> Iterator[GrantPath]:
    return GrantPath.among(store.names(GrantPath.folder(name)))
