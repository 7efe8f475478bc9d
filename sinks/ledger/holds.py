"""Why a close is held that has no intent yet, or no outcome.

A close that reads lost offsets can't be decided, so it has no intent. Its last attempt is recorded
in `ledger/lost/<export>/<instant>.json`, which counts until the close has an intent. A close that
reads unreadable data is recorded in `ledger/unreadable/…`, which counts until it has an outcome.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from schemas.errors import DeltadropError, LostOffsetsError, UnreadableError
from sinks.instants import stamp
from sinks.ledger.entry import read_entry
from sinks.ledger.names import LostPath, UnreadablePath, entry_name
from streams.storage.checked import write_checked
from streams.storage.store import Store

__all__ = ["Holds"]

E = TypeVar("E", bound=DeltadropError)


@dataclass(frozen=True, slots=True)
class Holds:
    """The records of held closes in a store."""

    store: Store

    @contextmanager
    def held_if_incomplete(self, export: str, instant: dt.datetime) -> Iterator[None]:
        """Record that a close is held if LostOffsetsError or UnreadableError is raised within the
        context, and raise it again.

        LostOffsetsError gets a hint how to send the drop without these offsets.
        """
        try:
            yield
        except UnreadableError as error:
            self._write(str(UnreadablePath(export, instant)), error)
            raise
        except LostOffsetsError as error:
            command = f"deltadrop release {export} --close {stamp(instant)} --accept-loss"
            hint = f"to send the drop without them: {command} --reason '…'; {error.hint}"
            with_hint = LostOffsetsError(error.what, where=error.where, hint=hint)
            self._write(str(LostPath(export, instant)), with_hint)
            raise with_hint from error

    def lost(self, export: str, instant: dt.datetime) -> LostOffsetsError | None:
        """Return why a close without an intent is held for lost offsets; None if it isn't."""
        name = str(LostPath(export, instant))
        return self._unless(export, instant, "intent", name, partial(_read, LostOffsetsError))

    def unreadable(self, export: str, instant: dt.datetime) -> UnreadableError | None:
        """Return why a close without an outcome is held for unreadable data; None if it isn't."""
        name = str(UnreadablePath(export, instant))
        return self._unless(export, instant, "outcome", name, partial(_read, UnreadableError))

    def _write(self, name: str, error: DeltadropError) -> None:
        content = (json.dumps(error.to_fields(), indent=1) + "\n").encode()
        write_checked(self.store, name, content)

    def _unless(
        self, export: str, instant: dt.datetime, entry: str, name: str, read: Callable[[bytes], E]
    ) -> E | None:
        """Read why a close is held; None if it has the given entry. That entry may be large, so it
        is read last.
        """
        error = read_entry(self.store, name, read)
        if error is None or read_entry(self.store, entry_name(export, instant, entry), bool):
            return None
        return error


def _read(kind: type[E], content: bytes) -> E:
    fields = json.loads(content)
    return kind(fields["what"], where=fields["where"], hint=fields["hint"])
