"""A webhook's signature: the receiver of the docs takes our reports, and nothing changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sinks.reports.webhook import SIGNATURE, body_of, signature
from tests.shop.told import report

DOC = Path(__file__).parents[3] / "docs" / "operating.md"
KEY = b"signing"
ID = report().id
BODY = body_of(report())

Receiver = Callable[[Mapping[str, str], bytes, bytes], bool]


@pytest.fixture(scope="module")
def is_genuine() -> Receiver:
    """The receiver of the docs."""
    section = DOC.read_text().split("### Verify a webhook's signature")[1]
    names: dict[str, Receiver] = {}
    exec(section.split("```python\n")[1].split("```")[0], names)
    return names["is_genuine"]


def headers(seconds: int, report_id: str = ID, body: bytes = BODY) -> dict[str, str]:
    return {SIGNATURE: signature(seconds, ID, body, KEY), "X-Deltadrop-Report": report_id}


def test_the_receiver_of_the_docs_knows_a_report(is_genuine: Receiver) -> None:
    assert is_genuine(headers(int(time.time())), BODY, KEY)


def test_neither_time_nor_id_nor_body_nor_key_can_be_changed(is_genuine: Receiver) -> None:
    now = int(time.time())
    later = headers(now)
    later[SIGNATURE] = later[SIGNATURE].replace(f"t={now}", f"t={now + 1}")

    assert not is_genuine(later, BODY, KEY)
    assert not is_genuine(headers(now, "another/id"), BODY, KEY)
    assert not is_genuine(headers(now), BODY + b" ", KEY)
    assert not is_genuine(headers(now), BODY, b"another")


def test_a_report_of_five_minutes_ago_is_not_taken(is_genuine: Receiver) -> None:
    assert not is_genuine(headers(int(time.time()) - 301), BODY, KEY)


@pytest.mark.parametrize("header", [None, "", "t=,v1=", "t=x,v1=é", "v1=00", "t=1"])
def test_a_post_without_a_right_header_is_not_taken(
    is_genuine: Receiver, header: str | None
) -> None:
    given = {"X-Deltadrop-Report": ID} | ({} if header is None else {SIGNATURE: header})

    assert not is_genuine(given, BODY, KEY)
    assert not is_genuine({}, BODY, KEY)


def test_another_version_of_signature_beside_ours_is_passed_over(is_genuine: Receiver) -> None:
    both = headers(int(time.time()))
    both[SIGNATURE] = both[SIGNATURE].replace(",v1=", f",v0={'0' * 64},v1=")

    assert is_genuine(both, BODY, KEY)


def test_the_signature_is_what_it_was() -> None:
    assert signature(1_774_756_860, "openings/x/held", b"{}", b"key") == (
        "t=1774756860,v1=94c0a57538e178590cbda274cbb0bb2aeaef2e2b5ef6f042aca30304b7eefa3a"
    )
