"""Try a location before a night depends on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from schemas.definitions.definitions import choices
from schemas.errors import Fault, WrongInputError
from schemas.json_result import JsonResult
from schemas.settings.settings import Settings
from sinks.locations import DeliveryError, load_locations

__all__ = ["FailedStep", "LocationCheck", "check_location"]


@dataclass(frozen=True, slots=True)
class FailedStep(JsonResult):
    """A step that failed."""

    step: str
    """The step."""
    error: str
    """Why it failed, and what to do."""


@dataclass(frozen=True, slots=True)
class LocationCheck(JsonResult):
    """How far a delivery came."""

    location: str
    """The location."""
    passed: tuple[str, ...]
    """The steps that went well, in their order."""
    failed: FailedStep | None
    """The step that failed; null where all went well."""


def check_location(
    settings: Settings, name: str, step_done: Callable[[str], None]
) -> tuple[LocationCheck, DeliveryError | None]:
    """Go through a delivery step by step, with a small file that is removed again.

    step_done: is called after each step. Returns also the error of the step that failed. Raises
    WrongInputError where there is no such location.
    """
    locations = load_locations(settings)
    if name not in locations:
        fault = Fault("NAME", f"'{name}' isn't a location", choices(name, sorted(locations)))
        raise WrongInputError([fault])
    passed: list[str] = []
    try:
        for step in locations[name].location.check():
            passed.append(str(step))
            step_done(str(step))
    except DeliveryError as error:
        failed = FailedStep(str(error.step), str(error))
        return LocationCheck(name, tuple(passed), failed), error
    return LocationCheck(name, tuple(passed), None), None
