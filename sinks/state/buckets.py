"""The buckets of a base: each id's rows are in one, so that a base is written and read in parts
(DESIGN).
"""

from __future__ import annotations

from typing import Final

import ibis.expr.types as ir

__all__ = ["BUCKETS", "bucketed"]

BUCKETS: Final = 64
"""How many parts a base has; a power of two. Ids count up, so their lowest bits spread them evenly.
"""


def bucketed(state: ir.Table, key: str) -> ir.Table:
    """Tell each row's bucket (`_bucket`, 0 to BUCKETS - 1) from its id, in any version of any
    engine the same.
    """
    return state.mutate(_bucket=(state[key] & (BUCKETS - 1)).cast("int16"))
