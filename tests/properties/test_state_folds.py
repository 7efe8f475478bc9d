"""State at a cut is the same from a base and the rows since as from nothing and all rows (DESIGN),
wherever the base was made.
"""

from __future__ import annotations

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from schemas.topics import Topic
from sinks.engine.engine import query_rows
from tests.cases.closes import Closer, CutAt, Record, Told
from tests.engines import small_engine
from tests.properties.histories import SHOPS, Teller, catalog_of
from tests.properties.test_rules_against_model import at


def states(
    closer: Closer, records: list[Record], cut: CutAt, base: CutAt | None
) -> list[list[str]]:
    told = Told(closer, records, base)
    firsts = told.firsts(cut)
    tables = (told.profiles(cut), told.campaigns(cut), firsts.interactions, firsts.links)
    return [sorted(str(sorted(row.items())) for row in query_rows(table)) for table in tables]


@given(
    seed=st.integers(0, 2**32),
    size=st.integers(1, 200),
    based=st.integers(0, 3),
    firsts_days=st.sampled_from([30, 400]),
)
@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.generate],
)
def test_a_base_and_the_rows_since_are_as_good_as_all_rows(
    seed: int, size: int, based: int, firsts_days: int
) -> None:
    told, cuts = Teller(seed, size).history()
    records = [
        Record(Topic.parse(one.topic), one.partition, one.offset, one.appended_at, one.body)
        for one in told
    ]
    catalog = catalog_of(SHOPS["usual"])
    last, base = at(cuts[-1]), at(cuts[min(based, len(cuts) - 1)])
    with small_engine() as engine:
        closer = Closer(catalog, "email-activities", "CLICKED", firsts_days=firsts_days).on(engine)

        from_nothing = states(closer, records, last, None)
        from_a_base = states(closer, records, last, base)

    assert from_a_base == from_nothing
