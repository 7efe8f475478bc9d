"""What a worker tells of itself on its port: metrics, and whether it is live and ready."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from deploy.parts.ports import HOST, free_port
from schemas.errors import DefinitionError
from streams.metrics import WorkerMetrics, WorkerPosition
from streams.serving import served
from streams.writing.batch import Written
from tests.shop.observed import health, page, served_series

TOPIC, OTHER = "deltadrop.shop.profile", "deltadrop.campaign"


class Clock:
    seconds = 1000.0

    def now(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(clock: Clock) -> WorkerMetrics:
    return WorkerMetrics([TOPIC, OTHER], batch_seconds=60, now=clock.now)


@pytest.fixture
def port(metrics: WorkerMetrics) -> Iterator[int]:
    port = free_port()
    with served(metrics, HOST, port, "observe.worker_port"):
        yield port


def standing(**lags: int | None) -> WorkerPosition:
    return WorkerPosition({(TOPIC, int(name.removeprefix("p"))): lag for name, lag in lags.items()})


def test_rows_and_dead_letters_are_counted_by_topic(port: int, metrics: WorkerMetrics) -> None:
    metrics.wrote(TOPIC, Written("one", 10, 2, 500), 0.2)
    metrics.wrote(TOPIC, Written("two", 5, 0, 300), 7.0)

    told = served_series(port)

    assert told[f'deltadrop_worker_rows_total{{topic="{TOPIC}"}}'] == 15
    assert told[f'deltadrop_worker_dead_letters_total{{topic="{TOPIC}"}}'] == 2
    assert told[f'deltadrop_worker_bytes_total{{topic="{TOPIC}"}}'] == 800
    assert told[f'deltadrop_worker_write_duration_seconds_sum{{topic="{TOPIC}"}}'] == 7.2


def test_counters_begin_at_zero_so_that_a_first_dead_letter_is_an_increase(port: int) -> None:
    told = served_series(port)

    assert told[f'deltadrop_worker_dead_letters_total{{topic="{OTHER}"}}'] == 0
    assert told[f'deltadrop_worker_write_failures_total{{topic="{OTHER}"}}'] == 0


def test_lag_is_told_of_the_partitions_assigned_and_no_longer(
    port: int, metrics: WorkerMetrics
) -> None:
    metrics.turned(standing(p0=7, p1=0, p2=None))
    before = served_series(port)
    metrics.turned(standing(p1=3))
    after = served_series(port)

    def lag(partition: int) -> str:
        return f'deltadrop_worker_lag_offsets{{partition="{partition}",topic="{TOPIC}"}}'

    assert (before[lag(0)], before[lag(1)], lag(2) in before) == (7, 0, False)
    assert before["deltadrop_worker_assigned_partitions"] == 3
    assert (lag(0) in after, after[lag(1)]) == (False, 3)


def test_metrics_have_no_series_of_when_a_counter_was_made(port: int) -> None:
    assert not [name for name in served_series(port) if "_created" in name]


def test_a_worker_is_live_while_its_loop_turns(
    port: int, metrics: WorkerMetrics, clock: Clock
) -> None:
    metrics.turned()
    clock.seconds += 59
    assert health(port, "live")[0] == 200
    clock.seconds += 2
    assert health(port, "live") == (503, {"ok": False, "seconds_since_turn": 61.0})
    metrics.turned()
    assert health(port, "live")[0] == 200


def test_a_worker_without_partitions_is_not_ready(port: int, metrics: WorkerMetrics) -> None:
    assert health(port, "ready")[0] == 503
    metrics.turned(standing(p0=None))
    assert health(port, "ready")[0] == 200


def test_a_worker_with_nothing_to_store_is_ready_however_long_ago_it_stored(
    port: int, metrics: WorkerMetrics, clock: Clock
) -> None:
    metrics.wrote(TOPIC, Written("one", 1, 0, 1), 0.1)
    clock.seconds += 86_400
    metrics.turned(standing(p0=0))
    clock.seconds += 1
    metrics.turned(standing(p0=5))
    assert health(port, "ready")[0] == 200


def test_a_worker_that_stores_nothing_of_what_waits_is_not_ready(
    port: int, metrics: WorkerMetrics, clock: Clock
) -> None:
    metrics.turned(standing(p0=5))
    clock.seconds += 181  # three times worker.batch_seconds
    metrics.turned(standing(p0=5))
    told = health(port, "ready")
    metrics.wrote(TOPIC, Written("one", 1, 0, 1), 0.1)

    assert told == (
        503,
        {"ok": False, "partitions": 1, "lag": 5, "seconds_without_storing": 181.0},
    )
    assert health(port, "ready")[0] == 200


def test_another_page_tells_which_there_are(port: int) -> None:
    status, body = page(port, "/")
    assert status == 404
    assert body == '{"pages": ["/metrics", "/health/live", "/health/ready"]}'


def test_a_port_that_is_taken_is_refused_with_the_setting(metrics: WorkerMetrics) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(DefinitionError) as refused,
            served(metrics, HOST, port, "observe.worker_port"),
        ):
            pass

    assert str(refused.value) == (
        f"observe.worker_port: can't listen at 127.0.0.1, port {port}: Address already in use; each"
        " process needs a port of its own: choose another (DELTADROP_OBSERVE__WORKER_PORT)"
    )


def threads_of_requests() -> int:
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())


def is_ended(client: socket.socket) -> bool:
    """Whether the server closes a connection within the client's patience of some seconds."""
    client.settimeout(10)
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


def test_requests_that_never_end_hold_few_threads_and_end_in_time(
    metrics: WorkerMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.serving._REQUEST_SECONDS", 1.0)
    port = free_port()
    with served(metrics, HOST, port, "observe.worker_port"), contextlib.ExitStack() as opened:
        clients = [opened.enter_context(socket.create_connection((HOST, port))) for _ in range(40)]
        for client in clients:
            with contextlib.suppress(ConnectionError):  # those above the bound are closed at once
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: ")
        time.sleep(0.3)

        held = threads_of_requests()
        ended = [is_ended(client) for client in clients]

        assert 0 < held <= 16
        assert all(ended)
        assert page(port, "/metrics")[0] == 200


def test_without_a_port_nothing_is_served(metrics: WorkerMetrics) -> None:
    with served(metrics, "no such host", None, "observe.worker_port"):
        pass


def test_partitions_set_aside_are_told_by_topic_and_keep_no_worker_from_being_ready(
    port: int, metrics: WorkerMetrics, clock: Clock
) -> None:
    def series(topic: str) -> str:
        return f'deltadrop_worker_set_aside_partitions{{topic="{topic}"}}'

    metrics.turned(WorkerPosition({(TOPIC, 0): 0}))
    before = served_series(port)
    clock.seconds += 600
    aside = {(TOPIC, 0), (TOPIC, 1)}
    metrics.turned(WorkerPosition({(TOPIC, 0): 7, (TOPIC, 1): 9, (TOPIC, 2): 0}, 0, aside, {OTHER}))
    after = served_series(port)

    assert (before[series(TOPIC)], before[series(OTHER)]) == (0, 0)
    assert (after[series(TOPIC)], after[series(OTHER)]) == (2, 1)
    assert after[f'deltadrop_worker_lag_offsets{{partition="0",topic="{TOPIC}"}}'] == 7
    assert metrics.ready().ok
