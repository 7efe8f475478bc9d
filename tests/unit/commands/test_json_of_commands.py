"""What commands print with `--json` has the fields of docs/json.md: each is run once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from uuid import UUID

import pytest
from structlog.testing import capture_logs

import deltadrop
from schemas.events import Kind
from sinks.installation import Installation
from sinks.setup import Sinks
from tests.shop.json_page import documented
from tests.shop.offline import OfflineShop, at, with_exports

EVENT = "00000000-0000-0000-0000-00000000000b"
CLOSE = at(6, 28).isoformat()
STAMP = "20260328T060000.000Z"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> OfflineShop:
    """A window of two exports is closed."""
    folder = tmp_path_factory.mktemp("closed")
    (folder / "deltadrop.yaml").write_text("root: data\nclose: {delay_seconds: 0}\n")
    shop = OfflineShop(folder, definitions=with_exports("profiles", "sent"))
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    shop.tell(Kind.PROFILE, "CREATED", at(7), profileId=1)
    shop.tell(
        Kind.EMAIL_ACTIVITY,
        "SENT",
        at(8),
        profileId=1,
        interactionId=1,
        campaignId=22,
        event_id=UUID(EVENT),
    )
    shop.store_all()
    shop.close_all(at(6, 28))
    return shop


@pytest.fixture
def printed(
    closed: OfflineShop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run a command with `--json`; what it printed."""
    monkeypatch.setattr(Sinks, "of", closed.sinks_of)
    monkeypatch.setattr(Installation, "of", lambda settings: closed.sinks_of(settings).installation)
    monkeypatch.setattr(deltadrop, "configure_logs", lambda: None)

    def run(*arguments: str) -> str:
        config = str(closed.folder / "deltadrop.yaml")
        line = ["deltadrop", *arguments, "--json", "--config", config]
        monkeypatch.setattr(sys, "argv", line)
        capsys.readouterr()
        with capture_logs(), pytest.raises(SystemExit):
            deltadrop.main()
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize(
    "command",
    [
        ("close", "sent", "--at", CLOSE),
        ("redrop", "sent", "--close", STAMP),
        ("redrop", "sent", "--close", STAMP, "--current-definition", "--reason", "a test"),
        ("release", "sent", "--close", STAMP, "--reason", "a test"),
        ("history", "sent"),
        ("status",),
        ("sweep",),
        ("erase",),
        ("summary", "sent"),
        ("preview", "sent"),
        ("trace", EVENT),
        ("trace", "--profile", "1"),
        ("validate",),
        ("check-location", "transferbox"),
        ("check-location", "nowhere"),
        ("close", "nothing"),
    ],
    ids=" ".join,
)
def test_its_fields_are_those_of_the_page(
    printed: Callable[..., str], command: tuple[str, ...]
) -> None:
    assert documented(command[0], printed(*command))


def test_a_status_has_its_parts(printed: Callable[..., str]) -> None:
    status = documented("status", printed("status"))

    assert [export["export"] for export in status["exports"]] == ["profiles", "sent"]
    assert status["partitions"]


def test_a_trace_has_the_ids_of_its_event(printed: Callable[..., str]) -> None:
    (event,) = documented("trace", printed("trace", EVENT))["events"]

    assert (event["event_id"], event["profileId"], event["interactionId"]) == (EVENT, 1, 1)
