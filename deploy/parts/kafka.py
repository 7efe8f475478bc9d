"""Apache Kafka: one node that is broker and controller (KRaft), with settings for quick tests."""

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.parts.containers import daemon_answers, kafka_container
from deploy.parts.downloads import Download
from deploy.parts.errors import PartError
from deploy.parts.java import QUICK_START_OPTIONS, find_java
from deploy.parts.listeners import Listener
from deploy.parts.ports import HOST, free_port
from deploy.parts.process import START_TIMEOUT_S, Server, ServerProcess

BOOTSTRAP_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
KAFKA_DOWNLOAD = Download("kafka-4.2.0")

_QUICK_TEST_PROPERTIES = {
    "auto.create.topics.enable": "false",
    "broker.heartbeat.interval.ms": "500",
    # So long does a killed broker's successor wait before it's let in.
    "broker.session.timeout.ms": "3000",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "offsets.topic.num.partitions": "5",
    "offsets.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "3",
    "transaction.state.log.replication.factor": "1",
}
"""One node can't replicate, and a test shouldn't wait for what a cluster waits for."""

_PROTOCOLS = {
    "CONTROLLER": "PLAINTEXT",
    **{name: name for name in ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")},
}
"""What is spoken at a listener of each name."""

_JVM_OPTIONS = (
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
)


class KafkaBroker(Server):
    """A Kafka to talk to; one that we run on Java can also go away and come back."""

    def __init__(self, bootstrap_servers: str, process: ServerProcess | None = None) -> None:
        """``process`` is None for a broker that isn't ours."""
        super().__init__(f"the Kafka at {bootstrap_servers}", "kafka_on_java()", process)
        self.bootstrap_servers = bootstrap_servers


@contextmanager
def running_kafka(
    directory: Path | None = None, *, properties: Mapping[str, str] | None = None
) -> Iterator[KafkaBroker]:
    """Run a Kafka: that of the environment, else by Docker (untested), else on Java.

    ``directory`` keeps its log and data, on Java; without it they are in a temporary folder that
    is removed at the end. ``properties`` are broker settings beside and over those for quick
    tests; a broker that the environment names keeps its own.

    Raises PartError where none can be had.
    """
    if given := os.environ.get(BOOTSTRAP_VARIABLE):
        yield KafkaBroker(given)
    elif daemon_answers():
        with kafka_container({**_QUICK_TEST_PROPERTIES, **(properties or {})}) as servers:
            yield KafkaBroker(servers)
    else:
        with kafka_on_java(directory, properties=properties) as broker:
            yield broker


@contextmanager
def kafka_on_java(
    directory: Path | None = None,
    *,
    properties: Mapping[str, str] | None = None,
    listeners: Iterable[Listener] = (),
    heap: str = "1g",
) -> Iterator[KafkaBroker]:
    """Run a Kafka of our own on Java, whatever the environment says: it may be killed.

    Arguments as for ``running_kafka``, further ``listeners`` beside the plain one, and the most
    memory of the JVM's ``heap``. It's gone when the context ends, and also when this process is
    killed.
    """
    with tempfile.TemporaryDirectory(prefix="deltadrop-kafka-") as temporary:
        home = directory or Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        process, port = _broker_process(home.resolve(), properties or {}, tuple(listeners), heap)
        try:
            process.start()
            yield KafkaBroker(f"{HOST}:{port}", process)
        finally:
            process.stop()


def _broker_process(
    home: Path, properties: Mapping[str, str], listeners: tuple[Listener, ...], heap: str
) -> tuple[ServerProcess, int]:
    port, controller_port = free_port(), free_port()
    settings = home / "server.properties"
    addresses = [f"PLAINTEXT://{HOST}:{port}", *(listener.address for listener in listeners)]
    for listener in listeners:
        properties = {**listener.properties, **properties}
    settings.write_text(_server_properties(home, addresses, controller_port, properties))
    temporary = home / "tmp"
    temporary.mkdir(exist_ok=True)
    launcher = str(find_java())
    options = [f"-Djava.io.tmpdir={temporary}", "-cp", f"{KAFKA_DOWNLOAD.directory()}/*"]
    users = [user for listener in listeners for user in listener.scram_users]
    _format([launcher, *QUICK_START_OPTIONS, *options], settings, users)
    process = ServerProcess(
        "Kafka",
        [launcher, f"-Xmx{heap}", *_JVM_OPTIONS, *options, "kafka.Kafka", str(settings)],
        home / "kafka.log",
        lambda logged: "Kafka Server started" in logged,
    )
    return process, port


def _server_properties(
    home: Path, addresses: list[str], controller_port: int, properties: Mapping[str, str]
) -> str:
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": ",".join([*addresses, f"CONTROLLER://{HOST}:{controller_port}"]),
        "advertised.listeners": ",".join(addresses),
        # Kafka takes CONTROLLER for plain by itself only where all other listeners are.
        "listener.security.protocol.map": ",".join(f"{a}:{b}" for a, b in _PROTOCOLS.items()),
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(home / "data"),
        **_QUICK_TEST_PROPERTIES,
        **properties,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _format(java: list[str], settings: Path, scram_users: list[str]) -> None:
    tool = [*java, "kafka.tools.StorageTool", "format", "--ignore-formatted"]
    for user in scram_users:
        tool += ["--add-scram", user]
    done = subprocess.run(
        [*tool, "-t", "ZGVsdGFkcm9wLXRlc3RzMQ", "-c", str(settings)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=START_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise PartError(f"Kafka's storage can't be formatted by {settings}:\n{done.stdout}")
