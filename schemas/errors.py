"""Everything deltadrop raises on purpose, in one tree.

    DeltadropError
    ├── WrongInputError         several faults in one refusal (exit code 2)
    │   └── DefinitionError     settings, table, stream and export definitions
    ├── RegistryError           the schema registry doesn't answer, or not as it should
    │   ├── UnknownSchemaError  no schema has this id
    │   ├── UnusableSchemaError the schema of this id can't be used
    │   └── IncompatibleSchemaError
    ├── PublishError            an event was not sent
    ├── TopicError              topics are missing or wrong
    ├── PartitionError          partition files or coverage records
    ├── LedgerError             the ledger of closes
    ├── ReportError             a report can't be sent; no close fails for it
    └── CloseError              a close failed
        ├── WrongCloseError     what is asked of a close can't be (exit code 2)
        ├── UnforeseenError     in a way that nobody foresaw
        └── HeldError           a close that can't be proven complete (exit code 3)
            ├── WaitingError    it isn't complete yet: the workers haven't stored all of it
            ├── LostOffsetsError  it never will be: offsets are neither stored nor in Kafka
            └── UnreadableError   what was stored can't be read
                ├── UnreadableRowsError   single rows can't
                └── UnreadableFilesError  files can't, or are missing

Every error says what is wrong, where, and what would be right (`hint`); `str()` puts that on one
line (one line for each fault). `exit_code` is what the command line exits with.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import ClassVar

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
    what: str
    hint: str = ""

    def __str__(self) -> str:
        return _sentence(self.where, self.what, self.hint)


class DeltadropError(Exception):
    """Base of all errors that a user can do something about."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        return _sentence(self.where, self.what, self.hint)

    def reason(self, described: str = "") -> str:
        """What is wrong, and where if that isn't `told` yet: a part of what another error says."""
        return self.what if self.where == described else _sentence(self.where, self.what, "")

    def to_fields(self) -> dict[str, object]:
        """Tell it to scripts: where, what, and what would be right."""
        return {"where": self.where, "what": self.what, "hint": self.hint}


class WrongInputError(DeltadropError):
    """Input that is refused whole, with all its faults."""

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
        """Tell the first fault to scripts, and all of them as `faults`."""
        return {**super().to_fields(), "faults": [asdict(fault) for fault in self.faults]}


class DefinitionError(WrongInputError):
    """Settings or definitions (tables, streams, exports) that can't be used as they are."""


class RegistryError(DeltadropError):
    """The schema registry can't be reached, or answers with an error; asking again may help."""


class UnknownSchemaError(RegistryError):
    """The registry answers, and knows no schema of that id."""


class UnusableSchemaError(RegistryError):
    """The registry has the schema, and it can't be used: it isn't Avro, or beyond a bound."""


class IncompatibleSchemaError(RegistryError):
    """The registry refuses a schema that can't read what the topic already holds (BACKWARD)."""

    exit_code = 2


class PublishError(DeltadropError):
    """One or more events were not sent, or it isn't known that they were."""


class TopicError(DeltadropError):
    """Kafka topics are missing, or not as deltadrop needs them."""


class PartitionError(DeltadropError):
    """A partition file or a coverage record can't be read, written or explained."""


class LedgerError(DeltadropError):
    """The ledger of closes can't be read, written or explained."""


class ReportError(DeltadropError):
    """A report can't be sent now; it is kept and tried again, and no close fails for it."""


class CloseError(DeltadropError):
    """A close failed; running it again is safe."""


class WrongCloseError(CloseError):
    """A close that can't be as it is asked for: another instant, flag or definition is needed."""

    exit_code = 2


class UnforeseenError(CloseError):
    """A close failed in a way that nobody foresaw: what its code met is its cause."""

    @property
    def cause(self) -> str:
        """Which failure it is, whatever names and numbers its message has."""
        number = getattr(self.__cause__, "errno", None)
        suffix = f" {number}" if isinstance(number, int) else ""
        return f"unforeseen: {type(self.__cause__).__name__}{suffix}"


class HeldError(CloseError):
    """A close that can't be proven complete: held, not sent."""

    exit_code = 3


class WaitingError(HeldError):
    """A close whose window the workers haven't stored yet; trying again may be all it needs."""


class LostOffsetsError(HeldError):
    """A close whose window or state has offsets that are neither stored nor in Kafka any more."""


class UnreadableError(HeldError):
    """A close, or a look at what is stored, that needs what can't be read."""


class UnreadableRowsError(UnreadableError):
    """Stored rows can't be read; `deltadrop take-out` takes them out."""


class UnreadableFilesError(UnreadableError):
    """Files of stored rows can't be read, or are missing."""


def _sentence(where: str, what: str, hint: str) -> str:
    located = f"{where}: {what}" if where else what
    return f"{located}; {hint}" if hint else located
