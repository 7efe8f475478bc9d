"""The errors that deltadrop raises on purpose, in one tree.

    DeltadropError
    ├── WrongInputError         input with one or more faults is refused (exit code 2)
    │   └── DefinitionError     settings, table, stream and export definitions
    ├── RegistryError           the schema registry doesn't answer, or answers wrongly
    │   ├── UnknownSchemaError  no schema has this id
    │   ├── UnusableSchemaError the schema of this id can't be used
    │   └── IncompatibleSchemaError  a schema can't read older data (exit code 2)
    ├── PublishError            an event was not sent
    ├── TopicError              topics are missing or wrong
    ├── PartitionError          partition files or coverage records are wrong
    ├── LedgerError             the ledger of closes is wrong
    ├── ReportError             a report can't be sent; no close fails for it
    └── CloseError              a close failed
        ├── WrongCloseError     the request doesn't fit the export or the window (exit code 2)
        ├── UnforeseenError     an error that has no class of its own
        └── HeldError           the close can't be proven complete (exit code 3)
            ├── WaitingError    not yet complete: the workers haven't stored the whole window
            ├── LostOffsetsError  never complete: offsets are neither stored nor in Kafka
            └── UnreadableError   stored data can't be read
                ├── UnreadableRowsError   single rows
                └── UnreadableFilesError  whole files, which are broken or missing

Every error says what is wrong, where, and what would be right (`hint`). `str()` puts that on one
line, or on one line for each fault, with control characters escaped (`one_line`): it may quote a
name, a value or a server's answer. An error never has the login of a URL (`without_logins`).
`exit_code` is the exit code of the command line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import ClassVar

from schemas.logins import without_logins
from schemas.one_line import one_line

__all__ = [
    "CloseError",
    "DefinitionError",
    "DeltadropError",
    "Fault",
    "HeldError",
    "IncompatibleSchemaError",
    "LedgerError",
    "LostOffsetsError",
    "PartitionError",
    "PublishError",
    "RegistryError",
    "ReportError",
    "TopicError",
    "UnforeseenError",
    "UnknownSchemaError",
    "UnreadableError",
    "UnreadableFilesError",
    "UnreadableRowsError",
    "UnusableSchemaError",
    "WaitingError",
    "WrongCloseError",
    "WrongInputError",
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: `where` (file:line), `what`, and a `hint` at what would be right."""

    where: str
    """Where it is: a file and line, an export, a flag; may be empty."""
    what: str
    """What is wrong."""
    hint: str = ""
    """What would be right; may be empty."""

    def __post_init__(self) -> None:
        for name in ("where", "what", "hint"):
            object.__setattr__(self, name, without_logins(getattr(self, name)))

    def __str__(self) -> str:
        return _sentence(self.where, self.what, self.hint)


class DeltadropError(Exception):
    """Base of all errors that a user can act on."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        self.what = without_logins(what)
        self.where = without_logins(where)
        self.hint = without_logins(hint)
        super().__init__(self.what)

    def __str__(self) -> str:
        return _sentence(self.where, self.what, self.hint)

    def reason(self, described: str = "") -> str:
        """What is wrong and where, without the hint, to quote in another error.

        described: the place that the other error names; the same place isn't repeated.
        """
        where = "" if self.where == described else self.where
        return _sentence(where, self.what, "")

    def to_fields(self) -> dict[str, object]:
        """The error for scripts, as JSON fields: where, what, and what would be right."""
        return {"where": self.where, "what": self.what, "hint": self.hint}


class WrongInputError(DeltadropError):
    """Input is refused as a whole; the error lists all its faults."""

    exit_code = 2

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        if not self.faults:
            raise ValueError("a refusal needs at least one fault")
        first = self.faults[0]
        super().__init__(first.what, where=first.where, hint=first.hint)

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)

    def to_fields(self) -> dict[str, object]:
        """The first fault for scripts, as JSON fields, and all of them under `faults`."""
        return {**super().to_fields(), "faults": [asdict(fault) for fault in self.faults]}


class DefinitionError(WrongInputError):
    """Settings or definitions (tables, streams, exports) have faults and can't be used."""


class RegistryError(DeltadropError):
    """The schema registry can't be reached, or answers with an error; a retry may help."""


class UnknownSchemaError(RegistryError):
    """The registry answered that it has no schema of this id."""


class UnusableSchemaError(RegistryError):
    """The registry has the schema, but it can't be used: it isn't Avro, or exceeds a bound."""


class IncompatibleSchemaError(RegistryError):
    """The registry refuses a schema that can't read the topic's older events (BACKWARD)."""

    exit_code = 2


class PublishError(DeltadropError):
    """One or more events were not sent, or weren't acknowledged."""


class TopicError(DeltadropError):
    """Kafka topics are missing, or lack the settings that deltadrop needs."""


class PartitionError(DeltadropError):
    """A partition file or a coverage record can't be read or written, or contradicts others."""


class LedgerError(DeltadropError):
    """The ledger of closes can't be read or written, or contradicts itself."""


class ReportError(DeltadropError):
    """A report can't be sent now. It is stored and sent later; no close fails for it."""


class CloseError(DeltadropError):
    """A close failed; running it again is safe."""


class WrongCloseError(CloseError):
    """A close can't run as requested: it needs another instant, flag or definition."""

    exit_code = 2


class UnforeseenError(CloseError):
    """A close failed with an error that has no class of its own, which is its `__cause__`."""

    @property
    def cause(self) -> str:
        """A name for the failure, without the names and numbers that vary in its message.

        It is made of the class of the error and, for an operating system's error, its errno.
        """
        number = getattr(self.__cause__, "errno", None)
        suffix = f" {number}" if isinstance(number, int) else ""
        return f"unforeseen: {type(self.__cause__).__name__}{suffix}"


class HeldError(CloseError):
    """A close can't be proven complete: its drop is held, not sent."""

    exit_code = 3


class WaitingError(HeldError):
    """The workers haven't stored the close's whole window yet; a later attempt may succeed."""


class LostOffsetsError(HeldError):
    """The window or state of a close has offsets that are neither stored nor in Kafka any more."""


class UnreadableError(HeldError):
    """A close or another reader needs stored data that can't be read."""


class UnreadableRowsError(UnreadableError):
    """Stored rows can't be read; `deltadrop take-out` takes them out."""


class UnreadableFilesError(UnreadableError):
    """Files of stored rows can't be read, or are missing."""


def _sentence(where: str, what: str, hint: str) -> str:
    located = f"{where}: {what}" if where else what
    return one_line(f"{located}; {hint}" if hint else located)
