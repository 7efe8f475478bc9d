"""Create the topics of a catalog, and refuse topics that can't carry events safely.

Windows are cut by offsets and append times. So a topic must set append times itself, must retain
its events, and must not elect a leader that lacks records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import InvalidReplicationFactorError

from producers.connection import translated
from schemas.errors import TopicError
from schemas.json_result import JsonResult
from schemas.one_line import joined
from schemas.settings.kafka import KafkaSettings
from schemas.settings.kafka_access import client_options
from schemas.settings.reachable import wait_until_reachable
from schemas.tables import Catalog
from schemas.topics import dead_letter_topic, topics_of

__all__ = ["TopicFinding", "TopicKeeper", "TopicsReport", "wanted_topics"]

_SAFE_REPLICATION = 3
_SAFE_IN_SYNC = 2
_NO_LIMIT = -1
_LEADERS_MS = 30_000
"""Milliseconds that new topics may take to get their leaders."""

_UNKNOWN_TOPIC = 3
"""Kafka's error code UNKNOWN_TOPIC_OR_PARTITION."""


@dataclass(frozen=True, slots=True)
class TopicFinding:
    """A fault of a topic; as a warning, something unsafe."""

    topic: str
    """The topic."""
    what: str
    """What is wrong, or unsafe."""
    hint: str
    """What would be right."""
    is_warning: bool = False
    """Whether it is only unsafe."""

    def __str__(self) -> str:
        return f"topic {self.topic}: {self.what}; {self.hint}"


@dataclass(frozen=True, slots=True)
class TopicsReport(JsonResult):
    """Topics that were created, topics that existed, and findings."""

    created: tuple[str, ...]
    """Topics that were created."""
    present: tuple[str, ...]
    """Topics that were there before."""
    findings: tuple[TopicFinding, ...]
    """Findings about these topics."""

    JSON_PROPERTIES = (("right", "is_right"),)

    @property
    def is_right(self) -> bool:
        """Whether all topics exist with the right settings."""
        return not self.wrong

    @property
    def wrong(self) -> tuple[TopicFinding, ...]:
        """The findings that refuse a topic."""
        return tuple(finding for finding in self.findings if not finding.is_warning)

    def warnings(self) -> list[str]:
        """Return a line for each warning, with the topics that it concerns."""
        topics: dict[tuple[str, str], list[str]] = {}
        for finding in self.findings:
            if finding.is_warning:
                topics.setdefault((finding.what, finding.hint), []).append(finding.topic)
        return [
            f"warning: {what}: {', '.join(names)}; {hint}" for (what, hint), names in topics.items()
        ]

    def raise_if_wrong(self) -> None:
        """Raise WrongTopicsError with every finding that refuses a topic."""
        if self.wrong:
            raise WrongTopicsError(self.wrong)


class WrongTopicsError(TopicError):
    """Topics are missing or wrong; `str()` has a line for each finding."""

    def __init__(self, findings: Sequence[TopicFinding]) -> None:
        super().__init__("; ".join(map(str, findings)))
        self.findings = findings

    def __str__(self) -> str:
        return joined(map(str, self.findings))


def wanted_topics(catalog: Catalog, kafka: KafkaSettings) -> tuple[str, ...]:
    """Return the names of all topics: those of events, and the dead-letter topic."""
    names = [topic.name for topic in topics_of(catalog, kafka.topic_prefix)]
    return (*names, dead_letter_topic(kafka.topic_prefix))


class TopicKeeper:
    """Creates and checks topics; a context manager. Raises TopicError if Kafka doesn't answer."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._where = f"Kafka {kafka.bootstrap_servers}"
        wait_until_reachable(kafka, TopicError)
        with translated(TopicError, self._where):
            self._admin = KafkaAdminClient(**client_options(kafka))

    def create(self, names: Iterable[str]) -> TopicsReport:
        """Create the missing topics, then check all."""
        wanted = tuple(names)
        with translated(TopicError, self._where):
            known = self._described(wanted)
            missing = [name for name in wanted if name not in known]
            if missing:
                plan = {name: self._plan() for name in missing}
                self._create(plan)
                self._admin.wait_for_topics(missing, timeout_ms=_LEADERS_MS)
        return self._report(wanted, missing)

    def check(self, names: Iterable[str]) -> TopicsReport:
        """Check that the topics exist with the right settings."""
        return self._report(tuple(names), [])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._admin.close()

    def _create(self, plan: dict[str, dict[str, object]]) -> None:
        try:
            self._admin.create_topics(plan)
        except InvalidReplicationFactorError as error:
            brokers = len(self._admin.describe_cluster()["brokers"])
            raise TopicError(
                f"has fewer brokers ({brokers}) than a topic should have replicas"
                f" ({self._kafka.replication_factor})",
                where=self._where,
                hint=f"start more, or set kafka.replication_factor to {brokers}",
            ) from error

    def _plan(self) -> dict[str, object]:
        kafka = self._kafka
        in_sync = min(kafka.min_insync_replicas, kafka.replication_factor)
        return {
            "num_partitions": kafka.partitions,
            "replication_factor": kafka.replication_factor,
            "configs": {
                "message.timestamp.type": "LogAppendTime",
                "retention.ms": str(kafka.retention_ms),
                "cleanup.policy": "delete",
                "min.insync.replicas": str(in_sync),
                "unclean.leader.election.enable": "false",
            },
        }

    def _report(self, wanted: tuple[str, ...], created: list[str]) -> TopicsReport:
        with translated(TopicError, self._where):
            described = self._described(wanted)
            configs = self._configs(described)
        findings: list[TopicFinding] = []
        for name in wanted:
            if name in described:
                partitions = described[name]["partitions"]
                findings += _findings(name, partitions, configs[name], self._kafka)
            else:
                findings.append(
                    TopicFinding(name, "doesn't exist", "run `deltadrop topics create`")
                )
        present = tuple(name for name in wanted if name in described and name not in created)
        return TopicsReport(tuple(created), present, tuple(findings))

    def _described(self, names: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        answers = self._admin.describe_topics(list(names))
        return {
            answer["name"]: answer for answer in answers if answer["error_code"] != _UNKNOWN_TOPIC
        }

    def _configs(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        if not resources:
            return {}
        answer = self._admin.describe_configs(resources, config_filter="all")["topic"]
        return {
            name: {key: str(entry["value"]) for key, entry in config.items()}
            for name, config in answer.items()
        }


def _findings(
    name: str, partitions: list[Mapping[str, Any]], config: Mapping[str, str], kafka: KafkaSettings
) -> Iterator[TopicFinding]:
    def wrong(key: str, right: str, is_warning: bool = False) -> TopicFinding:
        return TopicFinding(
            name, f"{key} is {config.get(key)}", f"it should be {right}", is_warning
        )

    if config.get("message.timestamp.type") != "LogAppendTime":
        yield wrong("message.timestamp.type", "LogAppendTime")
    if "compact" in config.get("cleanup.policy", ""):
        yield wrong("cleanup.policy", "delete: compaction removes facts")
    if config.get("unclean.leader.election.enable") == "true":
        yield wrong("unclean.leader.election.enable", "false")
    if not _keeps(int(config["retention.ms"]), kafka.retention_ms):
        yield wrong("retention.ms", f"{kafka.retention_ms} (kafka.retention_ms) or more")
    if len(partitions) < kafka.partitions:
        what = f"has {len(partitions)} partitions"
        yield TopicFinding(
            name, what, f"it should have {kafka.partitions} (kafka.partitions) or more"
        )
    if int(config.get("retention.bytes", _NO_LIMIT)) != _NO_LIMIT:
        yield wrong("retention.bytes", f"{_NO_LIMIT}: it may remove events early", True)
    replication = min((len(partition["replica_nodes"]) for partition in partitions), default=0)
    if replication < _SAFE_REPLICATION:
        what = f"replicas: {replication}"
        yield TopicFinding(name, what, f"{_SAFE_REPLICATION} survive the loss of a broker", True)
    if int(config["min.insync.replicas"]) < _SAFE_IN_SYNC:
        yield wrong("min.insync.replicas", f"{_SAFE_IN_SYNC} or more", True)


def _keeps(retention: int, wanted: int) -> bool:
    """Whether a retention in milliseconds (-1: for ever) is as long as wanted."""
    return retention == _NO_LIMIT or (wanted != _NO_LIMIT and retention >= wanted)
