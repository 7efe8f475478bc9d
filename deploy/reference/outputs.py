"""What each command prints with `--json`: the types of its results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from producers import cli as producers
from producers import schemas_cli
from producers.jsonl import PublishOutcome
from producers.topic_schemas import RegisteredSchemas, SchemaList, WrittenSchemas
from producers.topics import TopicsReport
from sinks.authoring.preview import Preview
from sinks.authoring.summary import Summary
from sinks.commands import closes, exports, locations, status
from sinks.commands.erase import erase
from sinks.commands.init_export import init_export
from sinks.commands.pass_over import pass_over
from sinks.commands.redrop import redrop
from sinks.commands.release import release
from sinks.commands.sweep import sweep
from sinks.commands.take_out import take_out
from sinks.commands.trace import trace
from sinks.commands.validate import validate
from sinks.commands.verify import verify
from sinks.drops.verify import Verification
from sinks.erasure.eraser import ErasureReport
from sinks.repair.held_preview import HeldDrop
from sinks.repair.pass_over import PassedOverNow
from sinks.repair.sweep import Swept
from sinks.repair.taking_out import TakenOutReport
from sinks.service.closes import ClosedWindow, FailedWindow
from sinks.service.definitions import Invalid, Valid
from sinks.service.exports import WrittenExport
from sinks.service.history import HistoryEntry
from sinks.service.locations import LocationCheck
from sinks.service.redrop import RedropResult
from sinks.service.status import Status
from sinks.service.wait_for_drop import WaitedDrop
from sinks.tracing.report import TraceReport
from streams.dead_letters import cli as dead_letters
from streams.dead_letters.report import LetterList, LetterReplays, ShownLetters

__all__ = ["OUTPUTS", "Output"]


class Output(NamedTuple):
    """A command, and the types of what it prints: one of them, or lines of them."""

    command: Callable[..., None]
    results: tuple[type[Any], ...]
    lines: bool = False


OUTPUTS: Final[Mapping[str, Output]] = {
    "check-location": Output(locations.check_location, (LocationCheck,)),
    "close": Output(closes.close, (ClosedWindow, FailedWindow), lines=True),
    "dead-letters list": Output(dead_letters.list_letters, (LetterList,)),
    "dead-letters replay": Output(dead_letters.replay, (LetterReplays,)),
    "dead-letters show": Output(dead_letters.show, (ShownLetters,)),
    "erase": Output(erase, (ErasureReport,)),
    "history": Output(status.history, (HistoryEntry,), lines=True),
    "init-export": Output(init_export, (WrittenExport,)),
    "pass-over": Output(pass_over, (PassedOverNow,)),
    "preview": Output(exports.preview, (Preview,)),
    "publish": Output(producers.publish, (PublishOutcome,)),
    "redrop": Output(redrop, (RedropResult,)),
    "release": Output(release, (ClosedWindow, HeldDrop)),
    "schemas export": Output(schemas_cli.export, (WrittenSchemas,)),
    "schemas register": Output(schemas_cli.register, (RegisteredSchemas,)),
    "schemas show": Output(schemas_cli.show, (SchemaList,)),
    "status": Output(status.status, (Status, WaitedDrop)),
    "summary": Output(exports.summary, (Summary,)),
    "sweep": Output(sweep, (Swept,)),
    "take-out": Output(take_out, (TakenOutReport,)),
    "topics check": Output(producers.check, (TopicsReport,)),
    "topics create": Output(producers.create, (TopicsReport,)),
    "trace": Output(trace, (TraceReport,)),
    "validate": Output(validate, (Valid, Invalid)),
    "verify": Output(verify, (Verification,)),
}
"""By the command's words."""
