"""docs/json.md is made from the types of results, and is what commands print with `--json`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pytest
import typer

from deltadrop import COMMANDS
from deploy.reference.json_page import json_page, rows_of
from deploy.reference.outputs import OUTPUTS
from schemas.json_result import JsonResult
from tests.shop.json_page import PAGE, check_documented, tables


@dataclass(frozen=True, slots=True)
class Silent(JsonResult):
    rows: int


def commands() -> Iterator[tuple[str, Any]]:
    """Every command of the command line by its words, those of groups too."""
    for name, (place, _) in COMMANDS.items():
        module, _, function = place.partition(":")
        found = getattr(import_module(module), function)
        if isinstance(found, typer.Typer):
            group: Any = typer.main.get_command(found)
            yield from ((f"{name} {own}", command) for own, command in group.commands.items())
        else:
            alone = typer.Typer(add_completion=False)
            alone.command(name)(found)
            yield name, typer.main.get_command(alone)


def takes_json(command: Any) -> bool:
    return any("--json" in parameter.opts for parameter in command.params)


def test_the_page_is_made_from_the_types() -> None:
    """`make reference` writes it."""
    assert PAGE.read_text(encoding="utf-8") == json_page()


def test_every_command_that_takes_json_is_on_the_page() -> None:
    known = sorted(name for name, command in commands() if takes_json(command))
    assert "status" in known
    assert known == sorted(OUTPUTS)
    assert [name for name in known if not tables()[name]] == []


def test_a_field_without_a_sentence_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Silent\.rows has no sentence below it"):
        rows_of(Silent)


@pytest.mark.parametrize(
    ("printed", "fault"),
    [
        ('{"location": "a", "passed": []}', "failed is missing"),
        ('{"location": "a", "passed": [], "failed": null, "more": 1}', "more isn't documented"),
        ('{"location": null, "passed": [], "failed": null}', "location is null"),
        ('{"location": "a", "passed": {}, "failed": null}', "passed isn't array"),
        ('{"location": "a", "passed": [], "failed": {"step": "x"}}', "failed.error is missing"),
    ],
)
def test_what_isnt_as_the_page_says_is_found(printed: str, fault: str) -> None:
    with pytest.raises(AssertionError, match=fault):
        check_documented("check-location", printed)
