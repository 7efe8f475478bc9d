"""Run a module as production would have it: ``python -m benchmarks.isolated MODULE ARGUMENT…``.

Pandas is here for development's sake only. Where it can be imported, PyArrow does so on its own at
the first list that it converts, for a second and 40 MB that no installation without pandas pays:
none of the systems gets it.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class WithoutPandas(MetaPathFinder):
    """Finds no pandas."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See MetaPathFinder.find_spec; raises ModuleNotFoundError."""
        if fullname == "pandas":
            raise ModuleNotFoundError("no pandas in production", name=fullname)
        return None


if __name__ == "__main__":
    sys.meta_path.insert(0, WithoutPandas())
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
