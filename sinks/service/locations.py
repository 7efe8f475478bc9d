"""Check a location before a delivery depends on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from schemas.definitions.definitions import choices
from schemas.errors import Fault, WrongInputError
from schemas.json_result import JsonResult
from schemas.settings.settings import Settings
from sinks.locations import DeliveryError, load_locations
from sinks.service.exposure import exposures_of_location

__all__ = ["FailedStep", "LocationCheck", "check_location"]


@dataclass(frozen=True, slots=True)
class FailedStep(JsonResult):
    """A step of the check that failed."""

    step: str
    """The name of the step."""
    error: str
    """Why it failed, and what to do."""


@dataclass(frozen=True, slots=True)
class LocationCheck(JsonResult):
    """The result of a check: how far a delivery came."""

    location: str
    """The name of the location."""
    passed: tuple[str, ...]
    """The steps that succeeded, in their order."""
    failed: FailedStep | None
    """The step that failed; null where all succeeded."""
    warnings: tuple[str, ...] = ()
    """What lets others read secrets or drops; it stops nothing."""


def check_location(
    settings: Settings, name: str, step_done: Callable[[str], None]
) -> tuple[LocationCheck, DeliveryError | None]:
    """Deliver a small file to a location step by step, and remove it again.

    step_done: called after each step. Returns the result and the error of the failed step, if any.
    Raises WrongInputError if there is no such location.
    """
    locations = load_locations(settings)
    if name not in locations:
        fault = Fault("NAME", f"'{name}' isn't a location", choices(name, sorted(locations)))
        raise WrongInputError([fault])
    warnings = tuple(map(str, exposures_of_location(name, locations[name])))
    passed: list[str] = []
    try:
        for step in locations[name].location.check():
            passed.append(str(step))
            step_done(str(step))
    except DeliveryError as error:
        failed = FailedStep(str(error.step), str(error))
        return LocationCheck(name, tuple(passed), failed, warnings), error
    return LocationCheck(name, tuple(passed), None, warnings), None
