"""The page of the fault matrix, `docs/fault-matrix.md`: a row for each combination, as seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

PAGE: Final = Path(__file__).parents[2] / "docs" / "fault-matrix.md"
_HEAD: Final = """# What a fault does

Written by `tests/faults/test_fault_matrix.py`, which fails if it sees anything else
(`--update-golden` writes it anew). `make test` tries about half of the rows, `make soak` all.

A close of one window goes to four places: transferbox, S3 (versitygw), SFTP (OpenSSH) and FTPS
(vsftpd). At one of its steps a fault happens; then the close is run again without it.

- **Killed**: SIGKILL *before* the step, *during* it (a file is written and hasn't its name yet,
  half of the drop is written, half of it is sent), or *after* it. The step *receipt* is that of
  S3's; *waiting* are the facts that wait for their campaign.
- **Refused**: the login is, or the folder can't be made. **Down**: the server doesn't run.
- **Disk full**: the installation's, or the place's.
- **Broker down**: Kafka. A registry is asked for nothing, unless a hole must be mended.

All the while a reader looks into the four folders. In every row: it saw no part of a file under
its name, and no other file; what was there after the fault wasn't sent again; after the second run
each folder has the drop and its manifest, with the bytes of an undisturbed close, and the ledger
has the intent, a receipt of each place (`at.…`), the facts that wait, and the outcome, once: *all*
in the table. A fault that isn't a kill ended the first run with a message that says what to do,
and exit code 1.

| step | fault | ledger after it | folders after it | ledger in the end | folders in the end |
|---|---|---|---|---|---|
"""


class Row(NamedTuple):
    """What was done, and what was held afterwards."""

    step: str
    fault: str
    ledger: str
    folders: str
    ledger_then: str
    folders_then: str

    def __str__(self) -> str:
        return f"| {' | '.join(self)} |"


def rows() -> list[Row]:
    """The rows that the page has."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    lines = [line for line in text.splitlines() if line.startswith("| ")][1:]
    return [Row(*(cell.strip() for cell in line.strip("| ").split(" | "))) for line in lines]


def write(row: Row, order: Sequence[tuple[str, str]]) -> None:
    """Put a row into the page; those of combinations that aren't tried any more go."""
    found = {(one.step, one.fault): one for one in [*rows(), row]}
    lines = [str(found[combination]) for combination in order if combination in found]
    PAGE.write_text(_HEAD + "\n".join(lines) + "\n", encoding="utf-8")


def head_of_page() -> str:
    """What the page says above its rows."""
    return PAGE.read_text(encoding="utf-8")[: len(_HEAD)]


def head() -> str:
    """What it should say there."""
    return _HEAD
