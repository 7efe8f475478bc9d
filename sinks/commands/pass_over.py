"""The command `pass-over`."""

from __future__ import annotations

from typing import Annotated

import typer

from schemas.printing import say, say_json
from schemas.settings.settings import load_settings
from sinks.commands.options import AsJson, Config
from sinks.commands.release import read_reason
from sinks.service.unreadable import PassOverRequest, pass_over_offsets
from sinks.setup import Sinks

__all__ = ["pass_over"]


def pass_over(
    topic: Annotated[str, typer.Argument(help="The topic, as `status` shows it.")],
    partition: Annotated[int, typer.Argument(help="Its partition that is set aside.")],
    to: Annotated[int, typer.Option(help="The offset to read on from; those before it are lost.")],
    reason: Annotated[str, typer.Option(help="Why; it is in the manifests.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Let a partition that is set aside go on without the offsets that can't be read, for good.

    They count as stored for all exports, and as lost in their manifests. Only the offsets for which
    the partition is set aside can be passed over, and no stored ones. Safe to run again. Exits with
    0 if they are passed over, 2 if they can't be.
    """
    why = read_reason(reason)
    sinks = Sinks.of(load_settings(config))
    passed = pass_over_offsets(sinks, PassOverRequest(topic, partition, to, why))
    if as_json:
        say_json(passed.to_json())
        return
    for line in passed.lines():
        say(line)
