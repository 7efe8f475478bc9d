"""A registry that is asked over TLS and wants a login: those of the settings, or it is said why."""

from __future__ import annotations

import base64
import ssl
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.parts import SchemaRegistry
from deploy.parts.certificates import Certificate, self_signed
from schemas.derive import avro_schema
from schemas.errors import RegistryError
from schemas.events import Kind
from schemas.registry.registry import Registry
from schemas.settings.settings import RegistrySettings
from schemas.topics import Topic
from tests.shop.events import CATALOG

USER = "shop"
PASSWORD = "open-sesame-4711"


class Doorkeeper(BaseHTTPRequestHandler):
    """Hands requests with the right login on to a registry."""

    registry: str

    def do_GET(self) -> None:
        asked = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers["Authorization"] != f"Basic {asked}":
            self.answer(401, b"{}")
            return
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        kind = {"Content-Type": self.headers["Content-Type"] or "application/json"}
        url = f"{self.registry}{self.path}"
        answer = httpx.request(self.command, url, content=body, headers=kind)
        self.answer(answer.status_code, answer.content)

    def do_POST(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@dataclass(frozen=True)
class Door:
    """Where the registry is asked, and the certificate of its TLS; None without."""

    url: str
    certificate: Certificate | None


@pytest.fixture(params=["https", "http"])
def door(
    request: pytest.FixtureRequest, registry: SchemaRegistry, tmp_path: Path
) -> Iterator[Door]:
    handler = type("Door", (Doorkeeper,), {"registry": registry.url})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    certificate = self_signed(tmp_path) if request.param == "https" else None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield Door(f"{request.param}://127.0.0.1:{server.server_port}", certificate)
    server.shutdown()
    thread.join()
    server.server_close()


def settings(door: Door, **changed: Any) -> RegistrySettings:
    told = {"url": door.url, "username": USER, "password": PASSWORD}
    if door.certificate is not None:
        told["ca_file"] = str(door.certificate.certificate)
    return RegistrySettings.model_validate({**told, **changed})


def registered(registry: RegistrySettings) -> int:
    topic = Topic(Kind.PROFILE, "shop", prefix=f"registry-{uuid.uuid4().hex}")
    return Registry(registry).register(topic, avro_schema(topic, CATALOG))


def test_who_logs_in_registers_and_finds_schemas(
    door: Door, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    told = settings(door, password=None, password_file=file)

    found = Registry(told).schema(registered(told))

    assert found["type"] == "record"
    warned = [one.getMessage() for one in caplog.records if one.name == "schemas.registry"]
    unencrypted = f"registry {door.url}: the login travels unencrypted"
    assert [one.partition(";")[0] for one in warned] == [unencrypted] * (not door.certificate)


def test_a_wrong_password_is_told_with_its_settings(door: Door) -> None:
    wrong = settings(door, password=f"{PASSWORD}-of-yesterday")
    with pytest.raises(RegistryError) as refused:
        registered(wrong)

    told = str(refused.value)
    assert told.startswith(f"registry {door.url}, subject registry-")
    assert "the registry answers with 401" in told
    assert "check registry.username, and the password in DELTADROP_REGISTRY__PASSWORD" in told
    assert PASSWORD not in told


@pytest.mark.parametrize("door", ["https"], indirect=True)
def test_a_certificate_that_isnt_trusted_is_told_with_its_setting(
    door: Door, tmp_path: Path
) -> None:
    other = self_signed(tmp_path, name="other").certificate
    with pytest.raises(RegistryError) as refused:
        registered(settings(door, ca_file=str(other)))

    told = str(refused.value)
    assert f"registry {door.url}" in told
    assert "CERTIFICATE_VERIFY_FAILED" in told
    assert "name the certificate of its authority in registry.ca_file" in told
