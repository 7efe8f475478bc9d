"""A lease in the store: at most one process holds it at a time, until it expires.

A grant is a file, created if absent, so that one process wins each number. The grant with the
highest number counts. Renewing the lease, taking it over after its expiry and releasing it each
create the next number. The *fence* counts tenures: it grows whenever the lease changes hands, so
that logs and `status` can distinguish two holders.

No entry blocks the lease for ever. A grant that ends more than twice its length from now, or more
than two days, was made by a wrong clock or by hand: it counts as free. So does an entry that can't
be read, two minutes after it was written. The next grants replace it.

A holder that was frozen past its expiry finds a higher number when it wakes, and has lost the
lease. What it does until then is harmless: whatever a close records is created if absent, too
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
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final

import structlog

from schemas.errors import DeltadropError
from sinks.instants import utc_now
from streams.storage.checked import AlteredRecordError, create_checked, read_checked
from streams.storage.paths import StoredPath
from streams.storage.store import Store, age_of

__all__ = ["SCHEDULERS", "Grant", "GrantPath", "Keeper", "Lease", "latest_grant", "process_name"]

log = structlog.get_logger(__name__)

SCHEDULERS: Final = "schedule"
"""Name of the lease that the working scheduler holds."""

_REMOVE_IT: Final = "it counts as expired soon, and may be removed"
_RETAINED: Final = 3
"""How many of the last grants stay, so that a reader that has just listed them can read them."""
_FURTHEST: Final = 2.0
"""How far ahead a grant may end, as a multiple of its length. Smaller differences of clocks do no
harm.
"""
_LONGEST_SECONDS: Final = 86_400.0
"""No lease is longer, so that the length in an entry can't hold it for ever either."""
_UNREADABLE_SECONDS: Final = 120.0
"""How long an entry that can't be read keeps the lease: its holder may live, and renews it before.
"""
_HIGHEST: Final = 9 * 10**11
"""Entries from this number on aren't grants. A lease that is renewed each second gets there in
28,000 years, and the numbers behind must not be used up.
"""
_RENEWALS: Final = 3
"""How often a lease is renewed within its length, so that two renewals may fail."""


@dataclass(frozen=True, slots=True, order=True)
class GrantPath(StoredPath):
    """Name of a grant of a lease."""

    TEMPLATE: ClassVar = "leases/{lease}/{number:012d}.json"
    WHAT: ClassVar = "a grant of a lease"

    lease: str
    number: int


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant of a lease: its holder, its tenure, and its end.

    seconds: the lease's length. trouble: why its entry can't be read; empty if it can.
    """

    number: int
    fence: int
    holder: str
    expires_at: dt.datetime
    released: bool = False
    seconds: float = math.inf
    trouble: str = ""

    def is_over(self, now: dt.datetime) -> bool:
        """Whether its holder no longer has the lease at `now`."""
        left = (self.expires_at - now).total_seconds()
        return self.released or left <= 0 or left > _FURTHEST * self.seconds

    def is_free(self, now: dt.datetime) -> bool:
        """Whether another process may take the lease at `now`."""
        left = (self.expires_at - now).total_seconds()
        return self.is_over(now) or left > _FURTHEST * _LONGEST_SECONDS

    def to_json(self) -> bytes:
        """Serialise all but the number, which is in the name."""
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
        """Read back what `to_json` wrote; raises ValueError for what no process writes."""
        fields: dict[str, Any] = json.loads(content)
        expires_at = dt.datetime.fromisoformat(fields["expires_at"])
        fence, seconds = int(fields["fence"]), float(fields.get("seconds", math.inf))
        if expires_at.tzinfo is None or not 0 < fence <= number or math.isnan(seconds):
            raise ValueError("no process grants this")
        return cls(
            number, fence, str(fields["holder"]), expires_at, bool(fields["released"]), seconds
        )

    @classmethod
    def unreadable(cls, number: int, written_at: float, trouble: str) -> Grant:
        """Return what an entry that can't be read counts as. written_at: seconds since 1970."""
        written = dt.datetime.fromtimestamp(written_at, dt.UTC)
        return cls(
            number,
            number,  # no fence is higher than the number of its grant
            "nobody knows",
            written + dt.timedelta(seconds=_UNREADABLE_SECONDS),
            seconds=_UNREADABLE_SECONDS,
            trouble=trouble,
        )


def latest_grant(store: Store, name: str) -> Grant | None:
    """Return the grant of a lease that counts; None if it was never granted.

    Its `trouble` says so if its entry isn't a grant. Raises PartitionError if the store doesn't
    answer: then nobody knows who has the lease.
    """
    missing = None
    while (path := max(_grants(store, name), default=None)) is not None and path != missing:
        try:
            read = partial(Grant.from_json, path.number)
            return read_checked(store, str(path), read, kind="this grant", hint=_REMOVE_IT)
        except FileNotFoundError:
            missing = path  # it was cleared away, so a higher number exists
        except AlteredRecordError as error:
            written_at = time.time() - age_of(store, str(path))
            return Grant.unreadable(path.number, written_at, str(error))
    if path is None:
        return None
    trouble = f"{store.address(str(path))}: is listed and isn't there; {_REMOVE_IT}"
    return Grant.unreadable(path.number, 0, trouble)


class Lease:
    """A lease, as one process sees it.

    holder: a name that no other process has. seconds: how long a grant lasts. The machines' clocks
    should agree to within a small part of it; if they don't, work may be done twice, which changes
    nothing.
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
        self._warned_of = 0

    def take(self) -> Grant | None:
        """Take the lease if it is free, or renew it; None if another process holds it."""
        latest, now = latest_grant(self._store, self._name), self._now()
        if latest is None:
            return self._grant(1, 1, now)
        self._tell(latest, now)
        if latest.holder == self.holder and not latest.released:
            return self._grant(latest.number + 1, latest.fence, now)
        if latest.is_free(now):
            return self._grant(latest.number + 1, latest.fence + 1, now)
        return None

    def release(self) -> None:
        """Give up the lease, so that another process can take it at once."""
        latest = latest_grant(self._store, self._name)
        if latest is None or latest.holder != self.holder or latest.released:
            return
        given_up = Grant(latest.number + 1, latest.fence, self.holder, self._now(), released=True)
        create_checked(self._store, self._file(given_up.number), given_up.to_json())

    def _grant(self, number: int, fence: int, now: dt.datetime) -> Grant | None:
        expires_at = now + dt.timedelta(seconds=self.seconds)
        grant = Grant(number, fence, self.holder, expires_at, seconds=self.seconds)
        if not create_checked(self._store, self._file(number), grant.to_json()):
            return None
        if latest_grant(self._store, self._name) != grant:
            return None  # outdated: others took higher numbers, and cleared this one away
        self._clear_before(number)
        return grant

    def _tell(self, latest: Grant, now: dt.datetime) -> None:
        """Log what is strange about a grant, once."""
        ahead = not latest.released and latest.expires_at > now and latest.is_free(now)
        if self._warned_of == latest.number or not (latest.trouble or ahead):
            return
        self._warned_of = latest.number
        why = latest.trouble or f"it ends on {latest.expires_at.isoformat()}, so it isn't counted"
        log.warning("strange lease entry", entry=self._file(latest.number), why=why)

    def _clear_before(self, number: int) -> None:
        for path in list(_grants(self._store, self._name)):
            if path.number <= number - _RETAINED:
                self._store.remove(str(path))

    def _file(self, number: int) -> str:
        return str(GrantPath(self._name, number))


class Keeper:
    """Takes a lease when it is free and renews it, in a thread of its own."""

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
        """Whether this process holds the lease now."""
        grant = self._grant
        return grant is not None and not grant.is_over(self._now())

    def __enter__(self) -> Keeper:
        """Try to take the lease now, and continue to try in the background."""
        self._try()
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Stop the thread and give up the lease."""
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
        except Exception as error:  # no error may end the thread
            log.warning("lease not renewed", error=str(error))
            return
        self._grant = grant
        if grant is not None and (before is None or before.fence != grant.fence):
            log.info("lease taken", holder=grant.holder, fence=grant.fence)
        if grant is None and before is not None:
            log.warning("lease lost: another scheduler goes on", fence=before.fence)


def process_name() -> str:
    """Return a unique name of this process: host, process id, and a random part."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def _grants(store: Store, name: str) -> Iterator[GrantPath]:
    paths = GrantPath.among(store.names(GrantPath.folder(name)))
    return (path for path in paths if path.number < _HIGHEST)
