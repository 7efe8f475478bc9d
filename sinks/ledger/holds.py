"""Why the last attempt at a close was held before it had an intent, or an outcome.

A close that can't be decided, as offsets that it reads are lost, has no intent: that it is held is
in `ledger/lost/<export>/<instant>.json`, by its last try, and counts until it is decided. That one
reads what can't be read is in `ledger/unreadable/…`, and counts until it has an outcome.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from schemas.errors import DeltadropError, LostOffsetsError, UnreadableError
from sinks.instants import stamp
from sinks.ledger.entry import read_entry
from sinks.ledger.names import LostPath, UnreadablePath, entry_name
from streams.storage.store import Store

__all__ = ["Holds"]

E = TypeVar("E", bound=DeltadropError)


@dataclass(frozen=True, slots=True)
class Holds:
    """Why closes of a store are held."""

    store: Store

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
            with_hint = LostOffsetsError(error.what, where=error.where, hint=hint)
            self._write(str(LostPath(export, instant)), with_hint)
            raise with_hint from error

    def lost(self, export: str, instant: dt.datetime) -> LostOffsetsError | None:
        """Return why a close that isn't decided yet is held, if it is for lost offsets."""
        name = str(LostPath(export, instant))
        return self._unless(export, instant, "intent", name, _read_lost)

    @contextmanager
    def held_if_unreadable(self, export: str, instant: dt.datetime) -> Iterator[None]:
        """Record that a close is held, if what it reads is found to be unreadable within the
        context.
        """
        try:
            yield
        except UnreadableError as error:
            self._write(str(UnreadablePath(export, instant)), error)
            raise

    def unreadable(self, export: str, instant: dt.datetime) -> UnreadableError | None:
        """Return why a close without an outcome is held, if it is for what can't be read."""
        name = str(UnreadablePath(export, instant))
        return self._unless(export, instant, "outcome", name, _read_unreadable)

    def _write(self, name: str, error: DeltadropError) -> None:
        content = (json.dumps(error.to_fields(), indent=1) + "\n").encode()
        self.store.write(name, lambda file: file.write(content))

    def _unless(
        self, export: str, instant: dt.datetime, entry: str, name: str, read: Callable[[bytes], E]
    ) -> E | None:
        """Read why a close is held, unless it has an entry, which is large and so read last."""
        error = read_entry(self.store, name, read)
        if error is None or read_entry(self.store, entry_name(export, instant, entry), bool):
            return None
        return error


def _read_lost(content: bytes) -> LostOffsetsError:
    fields = json.loads(content)
    return LostOffsetsError(fields["what"], where=fields["where"], hint=fields["hint"])


def _read_unreadable(content: bytes) -> UnreadableError:
    fields = json.loads(content)
    return UnreadableError(fields["what"], where=fields["where"], hint=fields["hint"])
