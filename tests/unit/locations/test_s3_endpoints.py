"""What an S3 endpoint says is no proof (SPEC §7): the object is compared before it counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from sinks.locations import Delivered, DeliveryError, DeliveryStep
from sinks.locations.s3.location import S3, S3Settings
from tests.location_contract import FOLDER, local
from tests.unit.locations.s3_endpoint import Endpoint

KEY = "drops/marketing/openings/openings.csv"
CONTENT = b"profileId,openedAt\r\n17,2026-03-28T06:00:00Z\r\n"


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_ACCESS", "access")
    monkeypatch.setenv("S3_SECRET", "secret")


def bucket(endpoint: Endpoint, folder: Path, **settings: object) -> S3:
    given = {
        "kind": "s3",
        "bucket": "drops",
        "endpoint": endpoint.url,
        "access_key_env": "S3_ACCESS",
        "secret_key_env": "S3_SECRET",
        "ca_file": endpoint.ca_file,
        **settings,
    }
    return S3("lake", folder / "notes", S3Settings.model_validate(given))


def test_an_endpoint_that_knows_no_chunked_bodies_gets_plain_ones(tmp_path: Path) -> None:
    with Endpoint(refuses_chunks=True).running(tmp_path) as endpoint:
        receipt = bucket(endpoint, tmp_path).deliver(
            local(tmp_path, CONTENT), FOLDER, "openings.csv"
        )

        assert receipt.delivered is Delivered.NOW
        assert endpoint.objects == {KEY: CONTENT}


def test_an_object_with_the_framing_of_chunks_in_it_is_removed_and_no_delivery(
    tmp_path: Path,
) -> None:
    with Endpoint().running(tmp_path) as endpoint:
        lake = bucket(endpoint, tmp_path, trailing_checksums=True)

        with pytest.raises(DeliveryError) as refused:
            lake.deliver(local(tmp_path, CONTENT), FOLDER, "openings.csv")

        assert refused.value.what.startswith(
            "the object isn't what was sent, and was removed: it has"
        )
        assert "45 were sent" in refused.value.what
        assert refused.value.hint.endswith("try trailing_checksums: false")
        assert endpoint.objects == {}


@pytest.mark.parametrize("size", [44, 6 * 1024 * 1024], ids=["one PUT", "two parts"])
def test_an_object_that_was_cut_is_removed_and_no_delivery(tmp_path: Path, size: int) -> None:
    with Endpoint(stores=lambda body: body[:-1]).running(tmp_path) as endpoint:
        lake = bucket(endpoint, tmp_path, part_bytes=5 * 1024 * 1024)

        with pytest.raises(DeliveryError, match="the object isn't what was sent"):
            lake.deliver(local(tmp_path, bytes(size)), FOLDER, "openings.csv")

        assert endpoint.objects == {}


@pytest.mark.parametrize("size", [44, 6 * 1024 * 1024], ids=["one PUT", "two parts"])
def test_an_object_with_other_bytes_of_the_same_size_is_found_by_its_etag(
    tmp_path: Path, size: int
) -> None:
    with Endpoint(stores=lambda body: b"?" + body[1:]).running(tmp_path) as endpoint:
        lake = bucket(endpoint, tmp_path, part_bytes=5 * 1024 * 1024)

        with pytest.raises(DeliveryError, match="it has other bytes than were sent"):
            lake.deliver(local(tmp_path, bytes(size)), FOLDER, "openings.csv")

        assert endpoint.objects == {}


def test_an_etag_that_is_no_md5_makes_the_object_be_read(tmp_path: Path) -> None:
    with Endpoint(random_etags=True).running(tmp_path) as endpoint:
        receipt = bucket(endpoint, tmp_path).deliver(
            local(tmp_path, CONTENT), FOLDER, "openings.csv"
        )

        assert receipt.delivered is Delivered.NOW
        assert [line.split()[0] for line in endpoint.requests] == ["HEAD", "PUT", "HEAD", "GET"]


def test_an_object_that_is_gone_when_it_is_looked_at_was_fetched(tmp_path: Path) -> None:
    with Endpoint(is_fetched=True).running(tmp_path) as endpoint:
        receipt = bucket(endpoint, tmp_path).deliver(
            local(tmp_path, CONTENT), FOLDER, "openings.csv"
        )

        assert receipt.delivered is Delivered.NOW


@pytest.mark.parametrize("read_back", ["ends", "whole"])
def test_what_is_read_back_is_compared(tmp_path: Path, read_back: str) -> None:
    content = bytes(300_000)
    changed = content[:-1] + b"?"
    with Endpoint(stores=lambda body: changed).running(tmp_path) as endpoint:
        lake = bucket(endpoint, tmp_path, read_back=read_back)

        with pytest.raises(DeliveryError, match="it has other bytes than were sent"):
            lake.deliver(local(tmp_path, content), FOLDER, "openings.csv")


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 300_000])
@pytest.mark.parametrize("read_back", ["ends", "whole"])
def test_what_is_read_back_is_the_same_whatever_its_size(
    tmp_path: Path, read_back: str, size: int
) -> None:
    with Endpoint().running(tmp_path) as endpoint:
        lake = bucket(endpoint, tmp_path, read_back=read_back)

        receipt = lake.deliver(local(tmp_path, bytes(size)), FOLDER, "openings.csv")

        assert (receipt.delivered, receipt.bytes) == (Delivered.NOW, size)


def test_a_check_goes_the_way_of_a_delivery_in_parts(tmp_path: Path) -> None:
    with Endpoint().running(tmp_path) as endpoint:
        steps = list(bucket(endpoint, tmp_path).check())

        assert steps[-2:] == [DeliveryStep.WRITE, DeliveryStep.DELETE]
        assert any("partNumber=2" in line for line in endpoint.requests)
        assert any(line.startswith("GET") for line in endpoint.requests)
        assert endpoint.objects == {}


def test_a_check_finds_what_a_delivery_would(tmp_path: Path) -> None:
    with Endpoint(stores=lambda body: body[:-1]).running(tmp_path) as endpoint:
        with pytest.raises(DeliveryError, match="the object isn't what was sent") as refused:
            list(bucket(endpoint, tmp_path).check())

        assert refused.value.step is DeliveryStep.WRITE
        assert endpoint.objects == {}


@pytest.mark.parametrize(
    ("endpoint", "sends"),
    [
        (None, True),
        ("https://s3.eu-west-1.amazonaws.com", True),
        ("https://s3.cn-north-1.amazonaws.com.cn", True),
        ("https://s3.example.com", False),
        ("https://amazonaws.com.example.com", False),
    ],
)
def test_trailing_checksums_are_sent_to_aws_only(endpoint: str | None, sends: bool) -> None:
    given = {"kind": "s3", "bucket": "drops", "endpoint": endpoint}

    assert S3Settings.model_validate(given).sends_trailing_checksums is sends
