"""Held drops, their release, and what is taken out of drops that didn't leave at once: entries of
the ledger, beside the intent of the close.

`held.json` says that a drop was made, which guard rails it breaks and what it had; `release.json`
that a person lets it go, and why; `deletions-<n>.json` which deletions of profiles were recorded
after the close was decided, and before anything of it left. All are created if absent. The file
itself isn't kept: it is made again from the intent, with the same bytes.

A close that can't be decided, as offsets that it reads are lost, has no intent: that it is held is
in `ledger/lost/<export>/<instant>.json`, by its last try, and counts until it is decided. That one
reads what can't be read is in `ledger/unreadable/…`, and counts until it has an outcome.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from schemas.errors import HeldError, LedgerError, LostOffsetsError, UnreadableError
from sinks.instants import stamp
from sinks.ledger.ledger import Deletion, Intent, read_entry
from sinks.ledger.names import LostPath, UnreadablePath, entry_name
from streams.storage.layout import TakenOutPath
from streams.storage.store import Store

__all__ = ["Held", "Holds", "Release"]


@dataclass(frozen=True, slots=True)
class Held:
    """A drop that wasn't sent: why (a sentence for each guard rail), and its figures."""

    reasons: tuple[str, ...]
    rows: int
    size: int  # bytes
    sha256: str
    balance: Mapping[str, int]
    late_rows: Mapping[str, int]  # by the events' day
    held_at: str

    def to_json(self) -> bytes:
        """Serialise."""
        return (json.dumps(asdict(self), indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes) -> Held:
        """Read back what `to_json` wrote."""
        fields = json.loads(content)
        return cls(**{**fields, "reasons": tuple(fields["reasons"])})

    def error(self, export: str, instant: dt.datetime) -> HeldError:
        """Say so, and how it is settled."""
        return HeldError(
            what=f"held: {'; '.join(self.reasons)}",
            where=f"export '{export}', close {stamp(instant)}",
            hint=f"look at it: deltadrop release {export} --close {stamp(instant)} --show; "
            + self.to_send_it(export, instant),
        )

    @staticmethod
    def to_send_it(export: str, instant: dt.datetime) -> str:
        """Say how it is let go."""
        command = f"deltadrop release {export} --close {stamp(instant)} --reason '…'"
        return f"to send it all the same: {command}"


@dataclass(frozen=True, slots=True)
class Release:
    """A person's word that a held drop may go: why, when, and the deletions of profiles that were
    recorded until then.
    """

    reason: str
    released_at: str
    deletions: tuple[Deletion, ...]

    def to_json(self) -> bytes:
        """Serialise."""
        deletions = _listed(self.deletions)
        fields = {"reason": self.reason, "released_at": self.released_at, "deletions": deletions}
        return (json.dumps(fields, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes) -> Release:
        """Read back what `to_json` wrote."""
        fields = json.loads(content)
        return cls(fields["reason"], fields["released_at"], _read(fields["deletions"]))


@dataclass(frozen=True, slots=True)
class Holds:
    """What is held in a store, and what was released."""

    store: Store

    def record(self, intent: Intent, held: Held) -> None:
        """Record that a drop is held; one that was recorded before stays."""
        self.store.create(entry_name(intent.export, intent.instant, "held"), held.to_json())

    def held(self, export: str, instant: dt.datetime) -> Held | None:
        """Return why a close's drop was held, if it was; also where it was released since."""
        return read_entry(self.store, entry_name(export, instant, "held"), Held.from_json)

    def record_release(self, export: str, instant: dt.datetime, release: Release) -> Release:
        """Record a release and return it, or the one that was recorded before."""
        self.store.create(entry_name(export, instant, "release"), release.to_json())
        recorded = self.release(export, instant)
        assert recorded is not None  # created just now, here or by another
        return recorded

    def release(self, export: str, instant: dt.datetime) -> Release | None:
        """Return the release of a close's drop, if there is one."""
        return read_entry(self.store, entry_name(export, instant, "release"), Release.from_json)

    def waiting(self, export: str, instant: dt.datetime) -> Held | None:
        """Return why a close's drop is held; None if it isn't, or was released."""
        if self.release(export, instant) is not None:
            return None
        return self.held(export, instant)

    @contextmanager
    def held_if_lost(self, export: str, instant: dt.datetime) -> Iterator[None]:
        """Record that a close is held, if offsets are found to be lost within the context; the
        error then says how it is let go.
        """
        try:
            yield
        except LostOffsetsError as error:
            command = f"deltadrop release {export} --close {stamp(instant)} --accept-loss"
            hint = f"to send the drop without them: {command} --reason '…'; {error.hint}"
            told = LostOffsetsError(error.what, where=error.where, hint=hint)
            content = (json.dumps(told.to_fields(), indent=1) + "\n").encode()
            self.store.write(str(LostPath(export, instant)), lambda file: file.write(content))
            raise told from error

    def lost(self, export: str, instant: dt.datetime) -> LostOffsetsError | None:
        """Return why a close that isn't decided yet is held, if it is for lost offsets."""
        decided = read_entry(self.store, entry_name(export, instant, "intent"), bool)
        name = str(LostPath(export, instant))
        return None if decided else read_entry(self.store, name, _read_lost)

    @contextmanager
    def held_if_unreadable(self, export: str, instant: dt.datetime) -> Iterator[None]:
        """Record that a close is held, if what it reads is found to be unreadable within the
        context.
        """
        try:
            yield
        except UnreadableError as error:
            content = (json.dumps(error.to_fields(), indent=1) + "\n").encode()
            name = str(UnreadablePath(export, instant))
            self.store.write(name, lambda file: file.write(content))
            raise

    def unreadable(self, export: str, instant: dt.datetime) -> UnreadableError | None:
        """Return why a close without an outcome is held, if it is for what can't be read."""
        done = read_entry(self.store, entry_name(export, instant, "outcome"), bool)
        name = str(UnreadablePath(export, instant))
        return None if done else read_entry(self.store, name, _read_unreadable)

    def take_out(
        self,
        intent: Intent,
        deletions: tuple[Deletion, ...],
        rows: tuple[TakenOutPath, ...] = (),
    ) -> Intent:
        """Record the deletions, and the rows that were taken out, known now of a drop of which
        nothing has left; return what decides its bytes from now on, here or by another who was
        first.
        """
        fields: dict[str, object] = {"deletions": _listed(deletions)}
        if rows:
            fields["taken_out"] = list(map(str, rows))
        name = _deletions(len(self._taken_out(intent)) + 1)
        content = json.dumps(fields, indent=1) + "\n"
        self.store.create(entry_name(intent.export, intent.instant, name), content.encode())
        return self.as_it_leaves(intent)

    def as_it_leaves(self, intent: Intent) -> Intent:
        """What decides a drop's bytes: its close, its release, if any, and what was taken out."""
        release = self.release(intent.export, intent.instant)
        known = [intent.deletions, *([release.deletions] if release else [])]
        later = self._taken_out(intent)
        # They only grow: what was recorded last is the longest.
        return replace(
            intent,
            deletions=max([*known, *(one.deletions for one in later)], key=len),
            taken_out=max([intent.taken_out, *(one.rows for one in later)], key=len),
        )

    def _taken_out(self, intent: Intent) -> list[_TakenOut]:
        found: list[_TakenOut] = []
        while True:
            name = entry_name(intent.export, intent.instant, _deletions(len(found) + 1))
            taken = read_entry(self.store, name, _TakenOut.from_json)
            if taken is None:
                return found
            found.append(taken)

    def check(self, decided: Intent, sha256: str) -> None:
        """Raise LedgerError where a released drop has other bytes than the one that was held,
        though no deletion of a profile has come since, and no row was taken out.

        decided: the intent of its close.
        """
        held = self.held(decided.export, decided.instant)
        if held is None or self.as_it_leaves(decided) != decided:
            return
        if held.sha256 != sha256:
            raise LedgerError(
                what=f"was held with sha256 {held.sha256}, this run made {sha256}",
                where=decided.drop_id,
                hint="a drop must have the same bytes each time: nothing was sent, report this",
            )


@dataclass(frozen=True, slots=True)
class _TakenOut:
    """What was known of deletions, and of rows that were taken out, when a close went on."""

    deletions: tuple[Deletion, ...]
    rows: tuple[TakenOutPath, ...]

    @classmethod
    def from_json(cls, content: bytes) -> _TakenOut:
        """Read what `Holds.take_out` wrote."""
        fields = json.loads(content)
        rows = tuple(map(TakenOutPath.parse, fields.get("taken_out", ())))
        return cls(_read(fields["deletions"]), rows)


def _read_lost(content: bytes) -> LostOffsetsError:
    fields = json.loads(content)
    return LostOffsetsError(fields["what"], where=fields["where"], hint=fields["hint"])


def _read_unreadable(content: bytes) -> UnreadableError:
    fields = json.loads(content)
    return UnreadableError(fields["what"], where=fields["where"], hint=fields["hint"])


def _deletions(number: int) -> str:
    return f"deletions-{number}"


def _listed(deletions: Sequence[Deletion]) -> list[list[int]]:
    return [[d.profile_id, d.occurred_at, d.appended_at] for d in deletions]


def _read(deletions: Sequence[Sequence[int]]) -> tuple[Deletion, ...]:
    return tuple(Deletion(*deletion) for deletion in deletions)
