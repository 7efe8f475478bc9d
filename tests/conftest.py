"""What all tests share: the real parts, started once a session, and only when a test asks.

``kafka`` and ``registry`` are shared: name topics and subjects after the test. A test that stops
or kills its broker takes ``own_kafka``. The end of their logs is part of a failure's report.
"""

import gc
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.net.inet import KafkaNetSocket

from deploy.parts import (
    KafkaBroker,
    SchemaRegistry,
    kafka_on_java,
    running_kafka,
    running_registry,
)
from deploy.parts.process import tail

pytest.register_assert_rewrite("tests.location_contract", "tests.store_contract")

LOGS = pytest.StashKey[dict[str, Path]]()
LOG_LINES = 50


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the long versions of the fault tests")
    parser.addoption("--update-golden", action="store_true", help="write golden files anew")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LOGS] = {}
    KafkaNetSocket.socket = _kafka_socket


class KafkaSocket(socket.socket):
    """One of kafka-python's, which leaves those of a broker that went away to the garbage
    collector: warnings of unclosed sockets tell it by this name from ours.
    """


def _kafka_socket(_: KafkaNetSocket, family: int, kind: int, proto: int) -> socket.socket:
    return KafkaSocket(family, kind, proto)


@pytest.hookimpl(tryfirst=True)  # before xdist looks for the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests marked ``soak`` out, unless ``--soak`` asks for them.

    Where tests run in several processes, those that share a fixture of their module stay in one:
    some take minutes to make.
    """
    for item in items:
        if isinstance(item, pytest.Function) and _shares(item):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    if config.getoption("--soak"):
        return
    left_out = [item for item in items if item.get_closest_marker("soak")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _shares(item: pytest.Function) -> bool:
    made = item._fixtureinfo.name2fixturedefs.values()
    return any(fixture.scope == "module" for each in made for fixture in each)


def pytest_collection_finish() -> None:
    """Look for garbage seldom: plans are trees of many small objects, and looking through them
    again and again takes a third of the property tests' time.
    """
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed:
        for fixture, log in item.config.stash[LOGS].items():
            if fixture in getattr(item, "fixturenames", ()):
                report.sections.append((f"log of {fixture}", tail(log, LOG_LINES)))
    return report


@pytest.fixture(scope="session")
def kafka(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[KafkaBroker]:
    """The session's Kafka."""
    with running_kafka(tmp_path_factory.mktemp("kafka")) as broker:
        if broker.log:
            pytestconfig.stash[LOGS]["kafka"] = broker.log
        yield broker


@pytest.fixture(scope="session")
def registry(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[SchemaRegistry]:
    """The session's schema registry."""
    with running_registry(tmp_path_factory.mktemp("registry")) as registry:
        if registry.log:
            pytestconfig.stash[LOGS]["registry"] = registry.log
        yield registry


@pytest.fixture
def own_kafka(tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[KafkaBroker]:
    """A Kafka for this test alone, which it may stop, kill, freeze and start again."""
    with kafka_on_java(tmp_path / "kafka") as broker:
        assert broker.log
        pytestconfig.stash[LOGS]["own_kafka"] = broker.log
        yield broker
