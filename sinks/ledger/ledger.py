"""The ledger: what each close set out to do, and what came of it; both are created if absent.

The intent is recorded before anything is rendered: the window, which coverage records were chosen,
the whole definition, the deletions used. What was killed between intent and outcome is made again
from its intent, with the same bytes. The outcome is recorded after the delivery; a close that has
one is done, and running it again changes nothing.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID

from schemas.errors import LedgerError
from sinks.editions import EDITION, FIRST_EDITION
from sinks.instants import parse_stamp, stamp
from sinks.ledger.names import ChainPath, EntryPath, InitialPath, WaitingPath, entry_name
from sinks.rendering.compress import BLOCK_BYTES
from streams.storage.coverage import Hole, Tile, Tiling
from streams.storage.layout import CoveragePath, TakenOutPath, TopicPartition
from streams.storage.store import Store

T = TypeVar("T")

_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen of one partition: the tiling of all that the close reads of it."""

    partition: TopicPartition
    tiling: Tiling


@dataclass(frozen=True, slots=True)
class Deletion:
    """A profile's deletion that was recorded after the cut and before the file was written."""

    profile_id: int
    occurred_at: int  # UTC milliseconds
    appended_at: int  # UTC milliseconds


@dataclass(frozen=True, slots=True)
class Intent:
    """All that decides a drop's bytes."""

    export: str
    instant: dt.datetime
    window_start: dt.datetime
    previous_drop: str | None
    definition: Mapping[str, Any]
    window: Mapping[str, Mapping[int, tuple[int, int]]]  # topic → partition → [first, next)
    choices: tuple[Choice, ...]
    bases: Mapping[str, str]  # topic → name of the base its state starts from
    deletions: tuple[Deletion, ...] = ()
    initial: bool = False  # every living row at the cut, instead of a window's changes
    loss: str = ""  # why a person let the drop go without the offsets that its choices lack
    edition: int = EDITION  # of the rules that its drop is made by
    warnings: tuple[str, ...] = ()  # what its manifest warns of, known when it was decided
    # Bytes of a block that is compressed by itself; None where only its rows were limited.
    block_bytes: int | None = BLOCK_BYTES
    taken_out: tuple[TakenOutPath, ...] = ()  # rows that count as dead letters, of all topics read

    @property
    def drop_id(self) -> str:
        """Identifier of the drop: the export and its close instant."""
        return f"{self.export}@{stamp(self.instant)}"

    def definition_json(self) -> str:
        """Return the whole definition as `Export.from_json` reads it."""
        return json.dumps(self.definition)

    def to_json(self) -> bytes:
        """Serialise; the export and the instant are in the name."""
        fields = {
            "format": _FORMAT,
            "window_start": stamp(self.window_start),
            "previous_drop": self.previous_drop,
            "definition": self.definition,
            "window": {
                topic: {str(p): list(b) for p, b in ps.items()} for topic, ps in self.window.items()
            },
            "choices": [_choice_to_list(choice) for choice in self.choices],
            "bases": self.bases,
            "deletions": [[d.profile_id, d.occurred_at, d.appended_at] for d in self.deletions],
            "initial": self.initial,
            **({"loss": self.loss} if self.loss else {}),
            **({"edition": self.edition} if self.edition != FIRST_EDITION else {}),
            **({"block_bytes": self.block_bytes} if self.block_bytes else {}),
            **({"warnings": self.warnings} if self.warnings else {}),
            **({"taken_out": list(map(str, self.taken_out))} if self.taken_out else {}),
        }
        return (json.dumps(fields, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, export: str, instant: dt.datetime, content: bytes) -> Intent:
        """Read back what `to_json` wrote."""
        fields = json.loads(content)
        return cls(
            export,
            instant,
            parse_stamp(fields["window_start"]),
            fields["previous_drop"],
            fields["definition"],
            {
                topic: {int(p): (b[0], b[1]) for p, b in partitions.items()}
                for topic, partitions in fields["window"].items()
            },
            tuple(_choice_from_list(choice) for choice in fields["choices"]),
            fields["bases"],
            tuple(Deletion(*deletion) for deletion in fields["deletions"]),
            fields["initial"],
            fields.get("loss", ""),
            fields.get("edition", FIRST_EDITION),
            tuple(fields.get("warnings", ())),
            fields.get("block_bytes"),
            tuple(map(TakenOutPath.parse, fields.get("taken_out", ()))),
        )


@dataclass(frozen=True, slots=True)
class CloseOutcome:
    """What came of a close: the file, its figures, and where it was delivered."""

    drop_id: str
    file: str | None  # None where an empty window was skipped
    rows: int
    size: int  # bytes
    sha256: str
    balance: Mapping[str, int]
    receipts: tuple[str, ...]
    warnings: tuple[str, ...] = field(default=())
    finished_at: str = ""
    late_rows: Mapping[str, int] = field(default_factory=dict)  # by the events' day

    def to_json(self) -> bytes:
        """Serialise."""
        return (json.dumps(asdict(self), indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes) -> CloseOutcome:
        """Read back what `to_json` wrote."""
        fields = json.loads(content)
        fields["receipts"], fields["warnings"] = (
            tuple(fields["receipts"]),
            tuple(fields["warnings"]),
        )
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Revision:
    """A drop that is made again with other content: its number, why, and all that decides it."""

    number: int
    reason: str
    intent: Intent

    def to_json(self) -> bytes:
        """Serialise; the number is in the name."""
        fields = {"reason": self.reason, "intent": json.loads(self.intent.to_json())}
        return (json.dumps(fields, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, number: int, export: str, instant: dt.datetime, content: bytes) -> Revision:
        """Read back what `to_json` wrote."""
        fields = json.loads(content)
        intent = Intent.from_json(export, instant, json.dumps(fields["intent"]).encode())
        return cls(number, fields["reason"], intent)


class Ledger:
    """Intents and outcomes in a store, under the names of `sinks.ledger.names`.

    That a close was asked for as the export's initial drop is no begin of one.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def record_intent(self, intent: Intent) -> Intent:
        """Record an intent and return it, or the one that was recorded for this close before."""
        self.store.create(entry_name(intent.export, intent.instant, "intent"), intent.to_json())
        recorded = self.intent(intent.export, intent.instant)
        assert recorded is not None  # created just now, here or by another closer
        return recorded

    def claim(self, export: str, previous: dt.datetime | None, instant: dt.datetime) -> dt.datetime:
        """Let the close at an instant be the one that follows the previous (None: be the first);
        return the instant of the one that is, which another may have claimed before.
        """
        self.store.create(str(ChainPath(export, previous)), f"{stamp(instant)}\n".encode())
        owner = self.claimed(export, previous)
        assert owner is not None  # created just now, here or by another closer
        return owner

    def claimed(self, export: str, previous: dt.datetime | None) -> dt.datetime | None:
        """Return the instant of the close that follows the previous, if one has begun."""
        name = str(ChainPath(export, previous))
        return read_entry(self.store, name, lambda content: parse_stamp(content.decode().strip()))

    def ask_for_initial(self, export: str, instant: dt.datetime) -> None:
        """Record that the close at an instant is to make the export's initial drop."""
        self.store.create(str(InitialPath(export, instant)), f"{stamp(instant)}\n".encode())

    def is_asked_for_initial(self, export: str, instant: dt.datetime) -> bool:
        """Whether the close at an instant was ever asked for as the export's initial drop."""
        name = str(InitialPath(export, instant))
        return read_entry(self.store, name, lambda _: True) is not None

    def record_outcome(self, intent: Intent, outcome: CloseOutcome) -> CloseOutcome:
        """Record an outcome and return it, or the one that was recorded for this close before.

        Raises LedgerError where the recorded one has other bytes: two closers disagreed.
        """
        return self._record_outcome(intent, outcome, 0)

    def record_revision(self, revision: Revision) -> Revision:
        """Record a revision and return it, or the one of its number that was recorded before."""
        intent, number = revision.intent, revision.number
        name = entry_name(intent.export, intent.instant, "intent", number)
        self.store.create(name, revision.to_json())
        recorded = self.revision(intent.export, intent.instant, revision.number)
        assert recorded is not None  # created just now, here or by another run
        return recorded

    def record_revision_outcome(self, revision: Revision, outcome: CloseOutcome) -> CloseOutcome:
        """Record what came of a revision; see `record_outcome`."""
        return self._record_outcome(revision.intent, outcome, revision.number)

    def _record_outcome(self, intent: Intent, outcome: CloseOutcome, revision: int) -> CloseOutcome:
        name = entry_name(intent.export, intent.instant, "outcome", revision)
        self.store.create(name, outcome.to_json())
        recorded = read_entry(self.store, name, CloseOutcome.from_json)
        assert recorded is not None  # created just now, here or by another closer
        if (recorded.sha256, recorded.balance) != (outcome.sha256, outcome.balance):
            raise LedgerError(
                what=f"recorded with sha256 {recorded.sha256}, this run made {outcome.sha256}",
                where=intent.drop_id,
                hint="a close must give the same bytes each time: keep both files, report this",
            )
        return recorded

    def intent(self, export: str, instant: dt.datetime) -> Intent | None:
        """Return the intent of a close, if it was begun."""
        return self._read(export, instant, "intent", partial(Intent.from_json, export, instant))

    def outcome(self, export: str, instant: dt.datetime) -> CloseOutcome | None:
        """Return the outcome of a close, if it was finished."""
        return self._read(export, instant, "outcome", CloseOutcome.from_json)

    def revision(self, export: str, instant: dt.datetime, number: int) -> Revision | None:
        """Return a revision of a close's drop, if it was begun; the drop itself (0) is none."""
        if not number:
            return None
        read = partial(Revision.from_json, number, export, instant)
        return self._read(export, instant, "intent", read, number)

    def revision_outcome(
        self, export: str, instant: dt.datetime, number: int
    ) -> CloseOutcome | None:
        """Return what came of a revision, if it was finished; the drop itself (0) is none."""
        if not number:
            return None
        return self._read(export, instant, "outcome", CloseOutcome.from_json, number)

    def revisions(self, export: str, instant: dt.datetime) -> list[int]:
        """Return the numbers of the revisions that were begun, in order."""
        entries = EntryPath.among(self.store.names(EntryPath.folder(export, instant)))
        return sorted(path.revision for path in entries if path.revision and path.entry == "intent")

    def unfinished_revision(self, export: str, instant: dt.datetime) -> Revision | None:
        """Return the last revision of a closed drop, if it was begun and not finished."""
        numbers = self.revisions(export, instant)
        if not numbers or self.outcome(export, instant) is None:
            return None
        if self.revision_outcome(export, instant, numbers[-1]) is not None:
            return None
        return self.revision(export, instant, numbers[-1])

    def exports(self) -> list[str]:
        """Return the names of all exports that ever began a close, by name."""
        closes = EntryPath.first_of_each_folder(self.store.names(EntryPath.folder()))
        return sorted({path.export for path in closes})

    def closes(self, export: str) -> Iterator[dt.datetime]:
        """Yield the instants of all closes that were begun, oldest first."""
        closes = EntryPath.first_of_each_folder(self.store.names(EntryPath.folder(export)))
        yield from sorted(path.instant for path in closes)

    def begun(self) -> Iterator[tuple[str, dt.datetime]]:
        """Yield export and instant of every close that may be half done, an export's oldest first:
        without an outcome, or with a revision, whose last step leaves no entry.
        """
        names = list(self.store.names(EntryPath.folder()))
        found = set(names)
        begun = [
            (path.export, path.instant)
            for path in EntryPath.first_of_each_folder(names)
            if entry_name(path.export, path.instant, "outcome") not in found
            or entry_name(path.export, path.instant, "intent", 1) in found
        ]
        yield from sorted(begun)

    def waiting_files(self) -> Iterator[tuple[str, dt.datetime, str]]:
        """Yield export, instant and name of every file of facts that waited."""
        for path in WaitingPath.among(self.store.names(WaitingPath.folder())):
            yield path.export, path.instant, str(path)

    def waiting_name(self, export: str, instant: dt.datetime) -> str:
        """Name of the file with the facts that still wait for their campaign after a close."""
        return str(WaitingPath(export, instant))

    def _read(
        self,
        export: str,
        instant: dt.datetime,
        entry: str,
        parse: Callable[[bytes], T],
        revision: int = 0,
    ) -> T | None:
        return read_entry(self.store, entry_name(export, instant, entry, revision), parse)


def read_entry(store: Store, name: str, parse: Callable[[bytes], T]) -> T | None:
    """Read an entry; None where it isn't there. Raises LedgerError where it isn't one."""
    try:
        content = store.read(name)
    except FileNotFoundError:
        return None
    try:
        return parse(content)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise LedgerError(
            what="this entry of the ledger isn't as it was written, and can't be read",
            where=store.address(name),
            hint="restore it from a backup",
        ) from error


def _choice_to_list(choice: Choice) -> list[Any]:
    owner, tiling = choice.partition, choice.tiling
    tiles = [[t.record.first, t.record.next, t.record.batch, t.first, t.next] for t in tiling.tiles]
    holes = [[hole.first, hole.next] for hole in tiling.holes]
    return [
        owner.topic,
        str(owner.topic_id),
        owner.partition,
        tiling.first,
        tiling.next,
        tiles,
        holes,
    ]


def _choice_from_list(fields: list[Any]) -> Choice:
    topic, topic_id, number, first, end, tiles, holes = fields
    owner = TopicPartition(topic, UUID(topic_id), number)
    return Choice(
        owner,
        Tiling(
            first,
            end,
            tuple(Tile(CoveragePath(owner, t[0], t[1], t[2]), t[3], t[4]) for t in tiles),
            tuple(Hole(*hole) for hole in holes),
        ),
    )
