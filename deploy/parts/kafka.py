"""Apache Kafka: a single node as broker and controller (KRaft), with settings for quick tests."""

import atexit
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from deploy.parts.archives import ClassArchive
from deploy.parts.containers import daemon_answers, kafka_container
from deploy.parts.downloads import Download
from deploy.parts.errors import PartError
from deploy.parts.java import find_java
from deploy.parts.listeners import Listener
from deploy.parts.ports import HOST, free_port
from deploy.parts.process import ARCHIVE_TIMEOUT_S, START_TIMEOUT_S, Server, ServerProcess

BOOTSTRAP_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
KAFKA_DOWNLOAD = Download("kafka-4.2.0")

_QUICK_TEST_PROPERTIES = {
    "auto.create.topics.enable": "false",
    "broker.heartbeat.interval.ms": "500",
    # After a kill, a restarted broker waits this long before it may register again.
    "broker.session.timeout.ms": "3000",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # Else the controller writes twice a second that nothing happened.
    "metadata.max.idle.interval.ms": "0",
    "offsets.topic.num.partitions": "5",
    "offsets.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "3",
    "transaction.state.log.replication.factor": "1",
}
"""A single node can't replicate, and tests shouldn't wait for timeouts made for clusters."""

_PROTOCOLS = {
    "CONTROLLER": "PLAINTEXT",
    **{name: name for name in ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")},
}
"""The security protocol of each listener, by its name."""

_JVM_OPTIONS = (
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
)


class KafkaBroker(Server):
    """A Kafka broker; if it was started here on Java, it can also be stopped and started again."""

    def __init__(self, bootstrap_servers: str, process: ServerProcess | None = None) -> None:
        """Describe a broker; ``process`` is None for a broker that wasn't started here."""
        super().__init__(f"the Kafka at {bootstrap_servers}", "kafka_on_java()", process)
        self.bootstrap_servers = bootstrap_servers


@contextmanager
def running_kafka(
    directory: Path | None = None,
    *,
    properties: Mapping[str, str] | None = None,
    jvm_options: Sequence[str] | None = None,
) -> Iterator[KafkaBroker]:
    """Provide a Kafka: that of the environment, else one by Docker (untested), else one on Java.

    directory: for log and data, on Java; by default a temporary folder that is removed at the end.
    properties: broker settings that complete and override those for quick tests; a broker of the
    environment ignores them.
    jvm_options: of a broker on Java, by default those for a quick start; pass an empty list if its
    speed matters.

    Raises PartError if no Kafka is available.
    """
    if given := os.environ.get(BOOTSTRAP_VARIABLE):
        yield KafkaBroker(given)
    elif daemon_answers():
        with kafka_container({**_QUICK_TEST_PROPERTIES, **(properties or {})}) as servers:
            yield KafkaBroker(servers)
    else:
        with kafka_on_java(directory, properties=properties, jvm_options=jvm_options) as broker:
            yield broker


@contextmanager
def kafka_on_java(
    directory: Path | None = None,
    *,
    properties: Mapping[str, str] | None = None,
    listeners: Iterable[Listener] = (),
    heap: str = "1g",
    jvm_options: Sequence[str] | None = None,
) -> Iterator[KafkaBroker]:
    """Run a Kafka on Java, whatever the environment says; the caller may kill it.

    Arguments as for ``running_kafka``. listeners: additional ones beside the plain one. heap: the
    maximum size of the JVM's heap. Kafka ends with the context, and also if this process is killed.
    """
    with tempfile.TemporaryDirectory(prefix="deltadrop-kafka-") as temporary:
        home = directory or Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        options = _archive().options() if jvm_options is None else jvm_options
        java = [str(find_java()), f"-Xmx{heap}", *options]
        process, port = _broker_process(home.resolve(), properties or {}, tuple(listeners), java)
        try:
            process.start()
            yield KafkaBroker(f"{HOST}:{port}", process)
        finally:
            process.stop()


def make_kafka_archive() -> Path | None:
    """Make Kafka's class archive if it is missing; None if this Java can't."""
    return _archive().make(_start_and_stop)


def _archive() -> ClassArchive:
    return ClassArchive(KAFKA_DOWNLOAD, find_java())


def _start_and_stop(options: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="deltadrop-kafka-") as temporary:
        java = [str(find_java()), *options]
        process, _ = _broker_process(Path(temporary).resolve(), {}, (), java)
        process.start()
        process.stop(ARCHIVE_TIMEOUT_S)


def _broker_process(
    home: Path, properties: Mapping[str, str], listeners: tuple[Listener, ...], java: list[str]
) -> tuple[ServerProcess, int]:
    port, controller_port = free_port(), free_port()
    settings = home / "server.properties"
    addresses = [f"PLAINTEXT://{HOST}:{port}", *(listener.address for listener in listeners)]
    for listener in listeners:
        properties = {**listener.properties, **properties}
    settings.write_text(_server_properties(home, addresses, controller_port, properties))
    temporary = home / "tmp"
    temporary.mkdir(exist_ok=True)
    options = [f"-Djava.io.tmpdir={temporary}", *_class_path()]
    users = [user for listener in listeners for user in listener.scram_users]
    if users or (home / "data").exists():
        _format(settings, users)
    else:
        shutil.copytree(_empty_storage(), home / "data")
    process = ServerProcess(
        "Kafka",
        [*java, *_JVM_OPTIONS, *options, "kafka.Kafka", str(settings)],
        home / "kafka.log",
        lambda logged: "Kafka Server started" in logged,
    )
    return process, port


def _class_path() -> tuple[str, str]:
    return "-cp", f"{KAFKA_DOWNLOAD.directory()}/*"


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
        # Kafka's default makes CONTROLLER plain only if all other listeners are plain, too.
        "listener.security.protocol.map": ",".join(f"{a}:{b}" for a, b in _PROTOCOLS.items()),
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(home / "data"),
        **_QUICK_TEST_PROPERTIES,
        **properties,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


@cache
def _empty_storage() -> Path:
    """A storage as Kafka's tool formats it, which takes a second: made once, to be copied."""
    home = Path(tempfile.mkdtemp(prefix="deltadrop-storage-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    settings = home / "server.properties"
    settings.write_text(_server_properties(home, [f"PLAINTEXT://{HOST}:1"], 2, {}))
    _format(settings, [])
    return home / "data"


def _format(settings: Path, scram_users: list[str]) -> None:
    java = [str(find_java()), *_archive().options(), *_class_path()]
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
