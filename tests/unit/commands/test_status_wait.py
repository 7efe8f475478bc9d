"""`status --wait` ends when the drop is delivered, held, failed, or the time is over."""

from __future__ import annotations

import ast
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import deltadrop
from schemas.errors import CloseError, DeltadropError, HeldError
from schemas.events import Kind
from sinks.commands import status
from sinks.installation import Installation
from sinks.reports import Reporter
from sinks.service.wait_for_drop import WaitedDrop, WaitRequest, wait_for_drop
from tests.shop.json_page import documented
from tests.shop.offline import OfflineShop, at, with_exports
from tests.shop.terminal import Terminal

PAGE = (Path(__file__).parents[3] / "docs" / "orchestrators.md").read_text(encoding="utf-8")
MORNING = at(6.5, 28)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> OfflineShop:
    """An export that was never closed; all is stored."""
    shop = OfflineShop(tmp_path_factory.mktemp("shop"), definitions=with_exports("profiles"))
    shop.tell(Kind.PROFILE, "CREATED", at(7), profileId=1)
    shop.store_all()
    return shop


@pytest.fixture
def shop(stored: OfflineShop, tmp_path: Path) -> OfflineShop:
    return stored.copied(tmp_path)


def waited(shop: OfflineShop, seconds: float = 0, **options: Any) -> WaitedDrop:
    request = WaitRequest("profiles", options.pop("instant", None), seconds)
    return wait_for_drop(shop.sinks.installation, request, now=lambda: MORNING, **options)


def reported(shop: OfflineShop, error: DeltadropError) -> None:
    (export,) = shop.sinks.exports
    Reporter(shop.sinks.ledger, []).troubled(export, at(6, 28), error)


def test_it_is_done_with_the_drop_of_the_last_window_that_is_over(shop: OfflineShop) -> None:
    shop.close("profiles", at(6, 28))

    found = waited(shop)

    assert (found.instant, found.state) == (at(6, 28), "done")
    assert found.drop is not None
    assert found.drop.rows == 1


def test_nothing_comes_of_a_window_that_nobody_closes(shop: OfflineShop) -> None:
    began = time.monotonic()

    assert waited(shop, 0.3).state == "timed out"
    assert 0.3 <= time.monotonic() - began < 5


def test_it_waits_for_a_close_that_another_process_makes(shop: OfflineShop) -> None:
    begun = threading.Event()
    other = shop.again()

    def close() -> None:
        begun.wait(10)
        other.close("profiles", at(6, 28))

    closing = threading.Thread(target=close)
    closing.start()
    found = waited(shop, 30, progress=lambda instant, seconds: begun.set())
    closing.join()

    assert found.state == "done"


@pytest.mark.parametrize(
    ("error", "state", "problem"),
    [
        (HeldError("a hole", hint="fill it"), "held", "held: a hole"),
        (CloseError("no space", hint="free some"), "failed", "failed: no space"),
    ],
)
def test_trouble_of_the_window_or_an_earlier_one_ends_it(
    shop: OfflineShop, error: DeltadropError, state: str, problem: str
) -> None:
    reported(shop, error)

    for instant in (at(6, 28), at(6, 29)):
        found = waited(shop, 30, instant=instant)
        assert (found.state, found.problem, found.hint) == (state, problem, error.hint)


def test_trouble_that_is_over_ends_nothing(shop: OfflineShop) -> None:
    reported(shop, HeldError("a hole"))
    shop.close("profiles", at(6, 28))

    assert waited(shop).state == "done"
    assert waited(shop, 0.1, instant=at(6, 29)).state == "timed out"


@pytest.fixture
def run(shop: OfflineShop, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Run `status` as a command: its exit code, and what it printed."""
    monkeypatch.setattr(Installation, "of", lambda settings: shop.sinks.installation)
    monkeypatch.chdir(shop.folder)

    def invoke(*arguments: str) -> tuple[int, str, str]:
        app = typer.Typer()
        app.command()(status.status)
        result = CliRunner().invoke(app, list(arguments))
        return result.exit_code, result.stdout, result.stderr

    return invoke


WAIT = ("--wait", "profiles", "--close", "2026-03-28T06:00:00Z", "--timeout", "0")


def test_the_exit_code_says_how_it_ended(
    shop: OfflineShop, run: Callable[..., tuple[int, str, str]]
) -> None:
    assert run(*WAIT) == (4, "", "profiles at 20260328T060000.000Z: timed out\n")
    reported(shop, CloseError("no space", hint="free some"))
    assert run(*WAIT)[0] == 1
    reported(shop, HeldError("a hole", hint="fill it"))
    code, _, trouble = run(*WAIT)
    assert (code, trouble) == (
        3,
        "profiles at 20260328T060000.000Z: held: a hole; fill it\n",
    )
    shop.close("profiles", at(6, 28))
    code, text, _ = run(*WAIT)
    assert (code, text.split()[:2]) == (0, ["profiles", "20260328T060000.000Z"])
    documented("status", run(*WAIT, "--json")[1])


def test_a_window_is_named_with_wait_only(run: Callable[..., tuple[int, str, str]]) -> None:
    app = typer.Typer()
    app.command()(status.status)
    refused = CliRunner().invoke(app, ["--close", "2026-03-28T06:00:00Z"]).exception

    assert str(refused) == "--close: is for --wait only; add --wait EXPORT"


def test_a_terminal_shows_how_long_it_has_waited(
    shop: OfflineShop, run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Terminal() as terminal:
        monkeypatch.setattr(sys, "stderr", terminal.stream)
        with pytest.raises(typer.Exit):
            status.status(wait="profiles", close="2026-03-28T06:00:00Z", timeout=0.1)

        assert "waiting for profiles at 20260328T060000.000Z: 0 s of 0" in terminal.written
        assert terminal.seen == ["profiles at 20260328T060000.000Z: timed out"]


def test_the_page_for_orchestrators_has_each_exit_code_and_its_programs_are_python() -> None:
    table = dict(re.findall(r"^\| (\d+) \| (\w+)", PAGE, re.MULTILINE))

    ends = {
        "0": "done",
        "1": "failed",
        "2": "wrong",
        "3": "held",
        "4": "time",
        "130": "interrupted",
    }
    assert table == ends
    programs = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(programs) == 2
    for program in programs:
        ast.parse(program)


def test_commands_of_the_page_for_orchestrators_are_there() -> None:
    group = typer.main.get_command(deltadrop.app)
    options = {
        option
        for name in ("status", "close")
        for parameter in group.get_command(typer.Context(group), name).params  # type: ignore[attr-defined]
        for option in parameter.opts
    }
    lines = re.findall(r"deltadrop (?:status|close)[^`\n]*", PAGE)
    told = {flag for line in lines for flag in re.findall(r"--[a-z]+", line)}

    assert {"--wait", "--timeout", "--close"} <= told <= options
