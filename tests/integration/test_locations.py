"""The locations that need a server keep what every location promises: on OpenSSH's sshd, vsftpd and
versitygw, as they are shipped.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deploy.parts.certificates import self_signed
from deploy.parts.gateway import Gateway
from deploy.parts.sshd import SftpServer
from deploy.parts.vsftpd import FtpsServer, running_vsftpd
from sinks.locations import Delivered, OtherBytesError
from sinks.locations.limits import Limit
from sinks.locations.s3 import S3
from tests.integration.servers import (
    BUCKET,
    fresh_folder,
    ftps_settings,
    located,
    root_of,
    s3_settings,
    secrets,
    seen_in,
    sftp_settings,
)
from tests.location_contract import FOLDER, NAME, LocationContract, Place, local

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def implicit_ftps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtpsServer]:
    folder = tmp_path_factory.mktemp("vsftpd-implicit")
    with running_vsftpd(folder, self_signed(folder), implicit=True) as server:
        yield server


def place_of(server: Any, tmp_path: Path, told: dict[str, Any]) -> Place:
    folder = fresh_folder()
    location = located(tmp_path, told | {"folder": folder, "timeout_seconds": 20})
    return location, seen_in(root_of(server) / folder)


class TestSftp(LocationContract):
    """OpenSSH's sshd."""

    @pytest.fixture(params=["key", "password"])
    def place(
        self,
        request: pytest.FixtureRequest,
        sftp: SftpServer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Place:
        secrets(monkeypatch, sftp)
        told = sftp_settings(sftp)
        if request.param == "password":
            del told["key_file"], told["fingerprint"]
            told |= {"password_env": "PARTNER_PASSWORD", "known_hosts": sftp.known_hosts}
        return place_of(sftp, tmp_path, told)


class TestFtps(LocationContract):
    """vsftpd, which demands that the session is reused."""

    @pytest.fixture(params=["explicit", "implicit"])
    def place(
        self, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Place:
        implicit = request.param == "implicit"
        server = request.getfixturevalue("implicit_ftps" if implicit else "ftps")
        secrets(monkeypatch, server)
        return place_of(server, tmp_path, ftps_settings(server, tls=request.param))


class TestS3(LocationContract):
    """versitygw, over a folder."""

    @pytest.fixture(params=["in one PUT", "in parts"])
    def place(
        self,
        request: pytest.FixtureRequest,
        s3: Gateway,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Place:
        secrets(monkeypatch, s3)
        parts = {"part_bytes": 5 * MIB} if request.param == "in parts" else {}
        return place_of(s3, tmp_path, s3_settings(s3, **parts))


# Where the server forbids renaming: the file grows in its place, and the ready file tells.

IN_PLACE = {"rename": "false", "ready_file": ".ready"}


@pytest.fixture(params=["sftp", "ftps"])
def in_place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Place:
    server = request.getfixturevalue(request.param)
    secrets(monkeypatch, server)
    told = (
        sftp_settings(server, **IN_PLACE)
        if isinstance(server, SftpServer)
        else ftps_settings(server, **IN_PLACE)
    )
    return place_of(server, tmp_path, told)


def half_sent(place: Place, tmp_path: Path, content: bytes) -> None:
    """What is there of a delivery that was cut."""
    location, _ = place
    location.deliver(local(tmp_path, content, "half"), FOLDER, NAME)


def test_without_renaming_a_half_sent_file_is_completed(in_place: Place, tmp_path: Path) -> None:
    location, seen = in_place
    half_sent(in_place, tmp_path, b"a,b\n1,")

    receipt = location.deliver(local(tmp_path, b"a,b\n1,2\n"), FOLDER, NAME)

    assert seen(FOLDER) == {NAME: b"a,b\n1,2\n"}
    assert receipt.delivered is Delivered.NOW


@pytest.mark.parametrize("other", [b"a,b\n9", b"a,b\n1,2\n3,4\n"])
def test_without_renaming_other_bytes_are_never_overwritten(
    in_place: Place, tmp_path: Path, other: bytes
) -> None:
    location, seen = in_place
    half_sent(in_place, tmp_path, other)

    with pytest.raises(OtherBytesError):
        location.deliver(local(tmp_path, b"a,b\n1,2\n"), FOLDER, NAME)

    assert seen(FOLDER) == {NAME: other}


def test_without_renaming_a_half_sent_checksum_file_of_a_ready_drop_is_never_added_to(
    in_place: Place, tmp_path: Path
) -> None:
    location, seen = in_place
    name = f"{NAME}.sha256"
    location.deliver(local(tmp_path, b"0123", "half"), FOLDER, name)
    assert location.deliver(local(tmp_path, b"012345"), FOLDER, name).delivered is Delivered.NOW
    location.deliver(local(tmp_path, b"", "ready"), FOLDER, f"{NAME}.ready")

    with pytest.raises(OtherBytesError):
        location.deliver(local(tmp_path, b"0123456"), FOLDER, name)

    assert seen(FOLDER)[name] == b"012345"


def test_without_renaming_a_file_that_was_told_to_be_ready_is_never_added_to(
    in_place: Place, tmp_path: Path
) -> None:
    location, seen = in_place
    half_sent(in_place, tmp_path, b"a,b\n")
    location.deliver(local(tmp_path, b"", "ready"), FOLDER, f"{NAME}.ready")

    with pytest.raises(OtherBytesError):
        location.deliver(local(tmp_path, b"a,b\n1,2\n"), FOLDER, NAME)

    assert seen(FOLDER)[NAME] == b"a,b\n"


# S3's own.


def test_an_object_of_other_origin_is_compared_byte_by_byte(
    s3: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets(monkeypatch, s3)
    location, _ = place_of(s3, tmp_path, s3_settings(s3))
    assert isinstance(location, S3)
    with location.client() as client:
        for name, content in {NAME: b"same", "other.csv": b"tame"}.items():
            key = location._key(f"{FOLDER}/{name}")
            client.put_object(Bucket=BUCKET, Key=key, Body=content)

    receipt = location.deliver(local(tmp_path, b"same"), FOLDER, NAME)

    assert receipt.delivered is Delivered.BEFORE
    with pytest.raises(OtherBytesError):
        location.deliver(local(tmp_path, b"same"), FOLDER, "other.csv")


def test_a_request_for_encryption_goes_with_every_object(
    s3: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint of the tests knows no encryption: what is asked of it is looked at."""
    secrets(monkeypatch, s3)
    location, _ = place_of(s3, tmp_path, s3_settings(s3))
    assert isinstance(location, S3)
    kms = replace(
        location,
        settings=location.settings.model_copy(
            update={"encryption": "aws:kms", "kms_key": "key-1", "part_bytes": 5 * MIB}
        ),
    )
    asked: list[dict[str, Any]] = []

    class Recorder:
        def put_object(self, **options: Any) -> None:
            asked.append(options)

        def head_object(self, **options: Any) -> None:
            raise ClientError({"Error": {"Code": "404"}}, "HeadObject")  # fetched by now

        def create_multipart_upload(self, **options: Any) -> dict[str, str]:
            asked.append(options)
            raise InterruptedError

    limit = Limit(60, "key")
    kms._put(Recorder(), local(tmp_path, b"small"), "key", "digest", limit)
    with pytest.raises(InterruptedError):
        kms._put(Recorder(), local(tmp_path, bytes(6 * MIB), "large"), "key", "digest", limit)

    wanted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key-1"}
    assert [wanted.items() <= options.items() for options in asked] == [True, True]
