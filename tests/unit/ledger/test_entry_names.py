"""Names of the ledger's entries: what is put together can be taken apart, and nothing else can."""

from datetime import UTC, datetime

import pytest

from sinks.ledger.names import ChainPath, EntryPath, InitialPath, LostPath, WaitingPath
from sinks.ledger.record import removal_entry

INSTANT = datetime(2026, 3, 27, 6, tzinfo=UTC)
STAMP = "20260327T060000.000Z"
FOLDER = f"ledger/exports/sent/{STAMP}"


@pytest.mark.parametrize("revision", [0, 1, 12])
@pytest.mark.parametrize("entry", ["intent", "outcome", "held", removal_entry(3)])
def test_an_entry_is_found_by_its_name(entry: str, revision: int) -> None:
    path = EntryPath("sent", INSTANT, revision, entry)

    assert list(EntryPath.among([str(path)])) == [path]


def test_names_are_those_of_earlier_releases() -> None:
    assert str(EntryPath("sent", INSTANT, 0, "intent")) == f"{FOLDER}/intent.json"
    assert str(EntryPath("sent", INSTANT, 2, "outcome")) == f"{FOLDER}/r2.outcome.json"
    assert str(EntryPath("sent", INSTANT, 0, removal_entry(1))) == f"{FOLDER}/deletions-1.json"
    assert str(WaitingPath("sent", INSTANT)) == f"{FOLDER}/waiting.parquet"
    assert str(ChainPath("sent", None)) == "ledger/chain/sent/first"
    assert str(ChainPath("sent", INSTANT)) == f"ledger/chain/sent/{STAMP}"
    assert str(InitialPath("sent", INSTANT)) == f"ledger/initial/sent/{STAMP}"
    assert str(LostPath("sent", INSTANT)) == f"ledger/lost/sent/{STAMP}.json"


@pytest.mark.parametrize(
    "name",
    [
        FOLDER,
        f"{FOLDER}/at.transferbox.json",
        f"{FOLDER}/r0.intent.json",
        f"{FOLDER}/intent.json.bak",
        f"{FOLDER}/more/intent.json",
        "ledger/exports/sent/notes/intent.json",
        f"backup/{FOLDER}/intent.json",
    ],
)
def test_what_somebody_else_has_put_there_is_no_entry(name: str) -> None:
    assert list(EntryPath.among([name])) == []
    assert list(WaitingPath.among([name])) == []
