"""The decoder reads an Arrow array of values as it reads a list of them."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.decoding.decode import Decoder
from schemas.derive import AvroSchema, avro_schema
from schemas.events import Kind
from schemas.registry.registry import wire_header
from schemas.tables import Catalog
from schemas.topics import Topic
from tests.properties.test_decode import written

TOPIC = Topic(Kind.CAMPAIGN)
CATALOG = Catalog({}, {})
SCHEMA = avro_schema(TOPIC, CATALOG)
GOOD = wire_header(1) + written(
    SCHEMA,
    {
        "eventId": "b5d2b8b0-7a8e-4c5b-9b39-6b0a5e3f0a01",
        "eventType": "CREATED",
        "database": "shop",
        "source": "API",
        "occurredAt": 1_700_000_000_000,
        "campaignId": 7,
        "name": "Spring",
        "technicalName": "spring_7",
        "channel": "EMAIL",
        "campaignKind": "ONE_SHOT",
        "state": "DRAFT",
        "engine": "CURRENT",
    },
)


class OneSchema:
    def schema(self, schema_id: int) -> AvroSchema:
        return SCHEMA


some = st.lists(st.none() | st.binary(max_size=20) | st.just(GOOD), max_size=20)


@settings(deadline=None)
@given(some, st.data())
def test_an_arrow_array_is_decoded_as_a_list_is(
    values: list[bytes | None], data: st.DataObject
) -> None:
    keys = data.draw(
        st.lists(st.none() | st.just(b"7"), min_size=len(values), max_size=len(values))
    )
    skipped = data.draw(st.integers(0, len(values)))
    decoder = Decoder(OneSchema(), TOPIC, CATALOG)
    array = pa.array(values, pa.binary()).slice(skipped)

    of_array = decoder.decode(array, pa.array(keys, pa.binary()).slice(skipped))

    of_list = decoder.decode(values[skipped:], keys[skipped:])
    assert of_array.batch.equals(of_list.batch)
    assert of_array.rows.tolist() == of_list.rows.tolist()
    assert of_array.refused == of_list.refused


def test_a_good_value_is_decoded() -> None:
    decoded = Decoder(OneSchema(), TOPIC, CATALOG).decode(pa.array([GOOD]), pa.array([b"7"]))

    assert decoded.batch.column("name").to_pylist() == ["Spring"]
    assert not decoded.refused
