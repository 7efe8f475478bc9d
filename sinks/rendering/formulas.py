"""Values that a spreadsheet would compute (CWE-1236), escaped by an apostrophe before them.

A spreadsheet takes a cell that begins with =, +, -, @, tab or CR for a formula. The escape can be
undone: a value gets an apostrophe if, after any apostrophes of its own, it begins so; whoever takes
one apostrophe away from each such value has the values as they were. Phone numbers (+32 2 555 01)
are no formulas, and stay.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["escaped"]

_FORMULA: Final = r"^'*[=+\-@\t\r]"
_PHONE_NUMBER: Final = r"^\+[0-9][0-9 ()./-]*\z"
_APOSTROPHE: Final = pa.scalar("'")


def escaped(text: pa.StringArray) -> pa.StringArray:
    """Texts with an apostrophe before those that are formulas; null stays null."""
    is_formula = pc.match_substring_regex(text, _FORMULA)
    if not pc.any(is_formula).as_py():
        return text
    is_number = pc.match_substring_regex(text, _PHONE_NUMBER)
    quoted = pc.binary_join_element_wise(_APOSTROPHE, text, "")
    return pc.if_else(pc.and_not(is_formula, is_number), quoted, text)
