"""Who doesn't answer as Kafka does is told from Kafka; one server that lets us in is enough."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from schemas.errors import PublishError
from schemas.settings import kafka_probe
from schemas.settings import reachable as reach
from schemas.settings.kafka import KafkaSettings
from schemas.settings.reachable import wait_until_reachable

GREETED = b"\x00\x00\x00\x0a" + b"\x00\x00\x00\x01" + b"\x00\x00" + b"\x00\x00\x00\x00"
"""Ten bytes, to request 1, without an error, and no versions."""

HTTP = b"HTTP/1.1 400 Bad Request\r\n\r\n"
TLS_ALERT = b"\x15\x03\x03\x00\x02\x02\x50"
TOO_SHORT = b"\x00\x00\x00\x02\x00\x01"


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that gives every connection the same answer; gives host:port."""

    def serve() -> None:
        while True:
            connection, _ = server.accept()
            with closing(connection):
                if not connection.recv(1024):
                    return
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{address[1]}"
        finally:
            socket.create_connection(address).close()
            thread.join()


def refusal(servers: str) -> str:
    with pytest.raises(PublishError) as refused:
        wait_until_reachable(KafkaSettings(bootstrap_servers=servers), PublishError)
    return str(refused.value)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (HTTP, "doesn't answer as Kafka does"),
        (TOO_SHORT, "doesn't answer as Kafka does"),
        (TLS_ALERT, "speaks TLS there, which isn't asked for"),
    ],
)
def test_what_isnt_kafka_is_told_at_once(answer: bytes, told: str) -> None:
    with answering(answer) as server:
        assert refusal(server) == (
            f"Kafka {server}: {told};"
            " check the port in kafka.bootstrap_servers, and kafka.security.protocol"
        )


def test_one_server_that_lets_us_in_is_enough() -> None:
    with answering(HTTP) as wrong, answering(GREETED) as right:
        kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:1, {wrong}, {right}")
        wait_until_reachable(kafka, PublishError)


def test_a_refusal_is_told_before_a_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "_WAIT_SECONDS", 0.1)
    with answering(HTTP) as wrong:
        assert f"Kafka {wrong}: doesn't answer as Kafka does" in refusal(f"{wrong},127.0.0.1:1")


def test_an_answer_that_breaks_off_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "_WAIT_SECONDS", 0)
    with answering(GREETED[:-1]) as server:
        assert f"Kafka {server}: can't be reached (it closes the conn" in refusal(server)


def test_a_server_that_answers_byte_by_byte_is_left_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reach, "_WAIT_SECONDS", 0)
    monkeypatch.setattr(kafka_probe, "_ANSWER_SECONDS", 0.5)
    server, over = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def drip() -> None:
        connection, _ = server.accept()
        with closing(connection), suppress(OSError):
            connection.sendall(b"\x00\x00\x10\x00")  # bytes that are to come
            while not over.wait(0.05):
                connection.sendall(b"\x00")

    thread = threading.Thread(target=drip)
    with server:
        thread.start()
        began = time.monotonic()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        try:
            assert f"Kafka {address}: can't be reached (timed out)" in refusal(address)
        finally:
            over.set()
            thread.join()
    assert time.monotonic() - began < 5
