"""Look up the exports that a person names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from schemas.definitions.definitions import choices
from schemas.errors import DefinitionError, Fault, WrongInputError
from sinks.exports.export import Export
from sinks.installation import Installation

__all__ = ["chosen_exports", "defined_export", "refuse_unknown"]

_NONE: Final = "none is defined: `deltadrop init-export` writes one"


def chosen_exports(installation: Installation, names: Sequence[str]) -> list[Export]:
    """Return the exports with these names; all exports if no name is given.

    Raises WrongInputError for names that aren't defined, DefinitionError if no export is defined.
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


def defined_export(name: str, exports: Sequence[Export]) -> Export:
    """Return the export with this name; raises WrongInputError, with the valid names, if there is
    none.
    """
    known = {export.name: export for export in exports}
    if name not in known:
        hint = choices(name, sorted(known)) or _NONE
        raise WrongInputError([Fault("", f"there is no export '{name}'", hint)])
    return known[name]


def refuse_unknown(installation: Installation, name: str) -> None:
    """Raise WrongInputError for an export that is neither defined nor in the ledger."""
    defined = (export.name for export in installation.exports)
    known = sorted({*defined, *installation.ledger.exports()})
    if name not in known:
        hint = choices(name, known) or "nothing was closed yet"
        raise WrongInputError([Fault("", f"there is no export '{name}'", hint)])
