"""The exports that a person names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from schemas.definitions.definitions import choices
from schemas.errors import DefinitionError, Fault, WrongInputError
from sinks.exports.export import Export
from sinks.installation import Installation

__all__ = ["chosen_exports", "refuse_unknown"]

_NONE: Final = "none is defined: `deltadrop init-export` writes one"


def chosen_exports(installation: Installation, names: Sequence[str]) -> list[Export]:
    """Return the exports of these names, all without; refuse names that aren't defined, and an
    installation without exports.
    """
    known = {export.name: export for export in installation.exports}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise WrongInputError(
            [
                Fault("", f"there is no export '{name}'", choices(name, known) or _NONE)
                for name in unknown
            ]
        )
    if not known:
        folder = str(installation.settings.exports)
        raise DefinitionError(
            [Fault(folder, "no export is defined", "add a YAML file that begins with export: NAME")]
        )
    return [known[name] for name in names] if names else list(installation.exports)


def refuse_unknown(installation: Installation, name: str) -> None:
    """Refuse an export that is neither defined nor in the ledger."""
    known = sorted({*(one.name for one in installation.exports), *installation.ledger.exports()})
    if name not in known:
        hint = choices(name, known) or "nothing was closed yet"
        raise WrongInputError([Fault("", f"there is no export '{name}'", hint)])
