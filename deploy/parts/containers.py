"""Kafka and the schema registry by Docker, with testcontainers.

**Untested**: the project is built and checked on machines without a Docker daemon. If this fails
for you, set the environment variables of a Kafka and a registry, and report the failure.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

KAFKA_IMAGE = "confluentinc/cp-kafka:8.1.0"
REGISTRY_IMAGE = "apicurio/apicurio-registry:3.3.3"
_REGISTRY_PORT = 8080


def daemon_answers() -> bool:
    """Whether a Docker daemon answers."""
    try:
        import docker
    except ImportError:
        return False
    try:
        client = docker.from_env(timeout=5)
    except docker.errors.DockerException:
        return False
    try:
        return bool(client.ping())
    except docker.errors.DockerException:
        return False
    finally:
        client.close()


@contextmanager
def kafka_container(properties: Mapping[str, str]) -> Iterator[str]:
    """Run Kafka in a container; yields its bootstrap servers."""
    from testcontainers.community.kafka import KafkaContainer

    container = KafkaContainer(KAFKA_IMAGE).with_kraft()
    for name, value in properties.items():
        container.with_env("KAFKA_" + name.replace(".", "_").upper(), value)
    with container as running:
        yield running.get_bootstrap_server()


@contextmanager
def registry_container() -> Iterator[str]:
    """Run the schema registry in a container; yields its URL, without the API's path."""
    from testcontainers.core.container import DockerContainer

    with DockerContainer(REGISTRY_IMAGE).with_exposed_ports(_REGISTRY_PORT) as running:
        host = running.get_container_host_ip()
        yield f"http://{host}:{running.get_exposed_port(_REGISTRY_PORT)}"
