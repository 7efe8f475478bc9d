"""Processor time of commands that only look, on the demonstration's installation (21 exports).

It is what a person waits for at a prompt, and what a health check costs each time: nearly all of it
goes to imports.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.compare import Place
from deploy.demo.workspace import Workspace, next_second, settings_of_one_machine

_DEFINITIONS: Final = Path(__file__).parent.parent / "deploy" / "demo"
_CLOSED: Final = ("stores", "profiles-delta")
"""Exports that are closed once, so that there is something to look at."""

_COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "help": ("--help",),
    "validate": ("validate",),
    "status": ("status",),
    "history": ("history",),
}


def time_commands(place: Place, rounds: int, say: Callable[[str], None]) -> dict[str, float]:
    """Return the seconds of processor time that each command takes: the median of some runs."""
    settings = settings_of_one_machine(
        place.bootstrap_servers, place.registry_url, place.topic_prefix, batch_seconds=1, delay=0
    )
    site = Workspace.create(place.folder / "commands", _DEFINITIONS, settings)
    site.run("topics", "create")
    site.run("close", *_CLOSED, "--at", next_second().isoformat())
    found = {}
    for name, arguments in _COMMANDS.items():
        own = () if name == "help" else ("--config", str(site.config))
        found[name] = median(_cpu_seconds(*arguments, *own) for _ in range(rounds))
        say(f"  deltadrop {' '.join(arguments)}: {found[name]:.2f} s of CPU")
    return found


def _cpu_seconds(*arguments: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = (sys.executable, "-m", "benchmarks.isolated", "deltadrop", *arguments)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
