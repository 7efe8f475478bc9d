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
_HEAD: Final = """# What a fault does

Written by `tests/faults/test_fault_matrix.py` and `tests/faults/test_servers_down.py`, which fail
if they see anything else (`--update-golden` writes it anew). `make test` tries about a third of the
rows, `make soak` all.

A close of one window goes to four places: transferbox, S3 (versitygw), SFTP (OpenSSH) and FTPS
(vsftpd). At one of its steps a fault happens; then the close is run again without it. Its steps:
the *cut* asks Kafka for offsets; *mend* reads again from Kafka what no worker has stored (a hole in
one partition), and asks the registry for the schema; *intent* is where the drop is decided; *drop*
is the file, made in a scratch folder; then come the places, the *receipt* (that of S3's), the facts
that are *waiting* for their campaign, and the *outcome*.

- **Killed**: SIGKILL *before* the step, *during* it (a file is written and hasn't its name yet,
  one topic's cut is taken and not the next, half of the drop is written, half of it is sent), or
  *after* it.
- **Refused**: the login is, or the folder can't be made. **Down**: the place's server doesn't run.
- **Disk full**: the installation's, or the place's.
- **Broker down**, **registry down**: a real Kafka (one node) or schema registry (Apicurio) is
  killed as the step begins, and stays away until the first run has ended. Before the second it is
  started again, on its port and with its data. From the intent on no server is asked but the
  places': the first run gets through (*exit 0*). Kafka is waited for, ten seconds, before it counts
  as down; where there is no hole, the registry is asked for nothing.

All the while a reader looks into the four folders. In every row: it saw no part of a file under
its name, and no other file; what was there after the fault wasn't sent again; after the second run
each folder has the drop and its manifest, with the bytes of an undisturbed close, and the ledger
has the intent, a receipt of each place (`at.…`), the facts that wait, and the outcome, once: *all*
in the table. A first run that wasn't killed and didn't get through ended within a minute, with one
message that says what is wrong (which server doesn't answer) and what to do; its
[exit code](operating.md#exit-codes) is in the table.

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
