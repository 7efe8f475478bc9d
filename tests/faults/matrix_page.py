"""The page of the fault matrix, `docs/fault-matrix.md`: a row for each combination, as seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.faults.closed import MANIFEST, Site
from tests.faults.closing import Ended
from tests.faults.partners import PLACES, Held

PAGE: Final = Path(__file__).parents[2] / "docs" / "fault-matrix.md"
STEPS: Final = ("cut", "mend", "intent", "drop", *PLACES, "receipt", "waiting", "outcome")
KILLS: Final = ("killed before", "killed during", "killed after")
SERVERS: Final = ("broker down", "registry down")


SERVED_STEPS: Final = ("cut", "mend")
"""Those that there are on a real Kafka only."""


def _faults_of(step: str) -> Iterator[str]:
    yield from KILLS
    yield "disk full"
    if step in PLACES:
        yield "refused"
    if step in PLACES and step != "transferbox":
        yield "down"
    yield from SERVERS


COMBINATIONS: Final = [(step, fault) for step in STEPS for fault in _faults_of(step)]
_EVERY_FILE: Final = "each: drop, manifest"
_EVERY_ENTRY: Final = {*(f"at.{place}" for place in PLACES), "intent", "outcome", "waiting"}
_HEAD: Final = """# What a fault in a close leaves behind

This table shows what happens when a step of a close is killed or refused. Each row is a test:
`tests/faults/test_fault_matrix.py` and `tests/faults/test_servers_down.py` write this page
(`--update-golden`), and fail if they see anything else. `make test` tries about a third of the
rows, `make soak` all.

## How each row was tried

A close of one window delivers to four places: transferbox, S3 (versitygw), SFTP (OpenSSH) and FTPS
(vsftpd). A fault happens at one of its steps. Then the close is run again without the fault.
The steps:

- *cut*: asks Kafka for offsets
- *mend*: reads again from Kafka what no worker has stored (a hole in one partition), and asks the
  registry for the schema
- *intent*: decides the drop
- *drop*: makes the file in a scratch folder
- the four places: deliver the file
- *receipt*: records the receipt (that of S3)
- *waiting*: records the facts that wait for their campaign
- *outcome*: records the outcome

The faults:

- **Killed**: SIGKILL *before* the step, *during* it, or *after* it. *During* means: a file is
  written and doesn't have its name yet, one topic's cut is taken and the next isn't, half of the
  drop is written, or half of it is sent.
- **Refused**: the login is refused, or the folder can't be made. **Down**: the place's server
  doesn't run.
- **Disk full**: the disk of the installation or of the place.
- **Broker down**, **registry down**: a real Kafka (one node) or schema registry (Apicurio) is
  killed as the step begins. It stays down until the first run has ended. Before the second run it
  is started again, on its port and with its data. From the intent on, a close uses only the servers
  of the places, so the first run succeeds (*exit 0*). A close waits ten seconds for Kafka before
  Kafka counts as down. If there is no hole, a close doesn't use the registry.

## What was checked in each row

During both runs a reader watches the four folders. In every row:

- The reader saw no part of a file under its name, and no other file.
- What was delivered after the fault wasn't sent again.
- After the second run each folder has the drop and its manifest, with the bytes of an undisturbed
  close.
- The ledger has the intent, a receipt of each place (`at.…`), the facts that wait, and the outcome,
  each once: *all* in the table.
- If the first run wasn't killed and didn't succeed, it ended within a minute, with one message. The
  message says what is wrong (which server doesn't answer) and what to do. The run's
  [exit code](operating.md#exit-codes) is in the table.

## The results

| step | fault | first run | ledger after | folders after | ledger in the end | folders in the end |
|---|---|---|---|---|---|---|
"""


class Row(NamedTuple):
    """What was done, and what was held afterwards."""

    step: str
    fault: str
    first_run: str
    ledger: str
    folders: str
    ledger_then: str
    folders_then: str

    def __str__(self) -> str:
        return f"| {' | '.join(self)} |"


class Left(NamedTuple):
    """What a run of a close left, in the words of the page."""

    how: str
    ledger: str
    folders: str

    @classmethod
    def by(cls, ended: Ended, site: Site) -> Left:
        return cls(ended.how, _entries(site.ledger()), _folders(site.held()))


def _folders(held: Held) -> str:
    words = {
        place: ", ".join("manifest" if name.endswith(MANIFEST) else "drop" for name in files)
        for place, files in held.items()
    }
    if set(words.values()) == {"drop, manifest"}:
        return _EVERY_FILE
    return "; ".join(f"{place}: {files}" for place, files in words.items() if files) or "nothing"


def _entries(names: Sequence[str]) -> str:
    short = [name.rsplit(".", 1)[0] for name in names]
    return "all" if set(short) == _EVERY_ENTRY else ", ".join(short) or "nothing"


def check(step: str, fault: str, first: Left, second: Left, *, update: bool) -> None:
    """Assert that the page has the row of a combination; update: after writing it."""
    row = Row(step, fault, *first, second.ledger, second.folders)
    if update:
        _write(row)
    assert row in rows()


def rows() -> list[Row]:
    """The rows that the page has."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    lines = [line for line in text.splitlines() if line.startswith("| ")][1:]
    return [Row(*(cell.strip() for cell in line.strip("| ").split(" | "))) for line in lines]


def _write(row: Row) -> None:
    """Put a row into the page; those of combinations that aren't tried any more go."""
    found = {(one.step, one.fault): one for one in [*rows(), row]}
    lines = [str(found[combination]) for combination in COMBINATIONS if combination in found]
    PAGE.write_text(_HEAD + "\n".join(lines) + "\n", encoding="utf-8")


def head_of_page() -> str:
    """What the page says above its rows."""
    return PAGE.read_text(encoding="utf-8")[: len(_HEAD)]


def head() -> str:
    """What it should say there."""
    return _HEAD
