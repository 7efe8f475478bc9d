"""Prometheus with the configuration and the rules of deploy/, and every query of rules and
dashboard, over a real scheduler, the metrics of a worker, and the file that `close` leaves.
"""

import functools
import json
import re
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from deploy.parts.ports import HOST, free_port
from deploy.parts.prometheus import promtool, running_prometheus
from schemas.events import Kind
from sinks.night.observing import writing_metrics
from streams.metrics import WorkerMetrics, WorkerPosition
from streams.serving import served
from streams.writing.batch import Written
from tests.shop.observed import health, page, served_series, serves
from tests.shop.offline import DEFINITIONS, OfflineShop
from tests.shop.scheduling import Clock, SchedulerProcess, keep_log

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
DASHBOARD = json.loads((DEPLOY / "grafana" / "deltadrop.json").read_text())
TOPIC = "deltadrop.shop.profile"
EXPORTS = ("profiles", "sent")
STUCK = "sent"
"""The export whose file name is taken by another's file: its close fails, and it is late."""


def rules() -> Iterator[tuple[str, str]]:
    """Name and query of each rule."""
    for file in RULES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            for rule in group["rules"]:
                yield rule.get("alert") or rule["record"], rule["expr"]


def panels() -> Iterator[tuple[str, str]]:
    """Title and query of each of the dashboard's targets, as Grafana sends it."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            name = f"{panel['title']} {target['refId']}"
            yield name, target["expr"].replace("$__rate_interval", "1m")


@dataclass(frozen=True)
class Observed:
    """Prometheus, and what it scrapes."""

    url: str
    shop: OfflineShop
    scheduler: SchedulerProcess
    port: int

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The series that a query gives; fails where Prometheus refuses it."""
        requested = urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{requested}", timeout=10) as answer:
            told = json.load(answer)
        assert told["status"] == "success", told
        return list(told["data"]["result"])

    def alarms(self, name: str) -> list[str]:
        """The exports of which an alarm is pending or fires."""
        found = self.ask(f'ALERTS{{alertname="{name}"}}')
        return sorted({one["metric"].get("export", "") for one in found})


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    folder = tmp_path_factory.mktemp("observed")
    port, worker_port, node_port = free_port(), free_port(), free_port()
    shop = made_shop(folder / "shop")
    (folder / "textfiles").mkdir()
    with writing_metrics(shop.sinks, folder / "textfiles" / "deltadrop.prom"):
        pass
    metrics = WorkerMetrics([TOPIC])
    metrics.wrote(TOPIC, Written("one", 10, 0, 500), 0.2)
    metrics.turned(WorkerPosition({(TOPIC, 0): 7}))
    configuration = written_configuration(folder, port, worker_port, node_port)
    with (
        served(metrics, HOST, worker_port, "observe.worker_port"),
        files_served(folder / "textfiles", node_port),
        running_scheduler(shop, port) as scheduler,
        running_prometheus(folder / "prometheus", configuration) as url,
    ):
        found = Observed(url, shop, scheduler, port)
        until(lambda: found.ask('deltadrop_export_last_success_timestamp_seconds{job!="node"}'))
        until(lambda: found.ask('deltadrop_export_trouble{kind="failed"} == 1'))
        until(lambda: found.ask("deltadrop:export_open_since_timestamp_seconds:last"))
        until(lambda: found.ask("rate(deltadrop_worker_rows_total[1m])"))
        yield found


def made_shop(folder: Path) -> OfflineShop:
    """Two exports closed two hours ago and were due by an hour ago; neither was closed yet."""
    now = datetime.now(UTC)
    hours = [f"{now - timedelta(hours=ago):%H:%M}" for ago in (2, 1)]
    schedule = f'schedule: {{at: "{hours[0]}", time_zone: UTC, deliver_by: "{hours[1]}"}}'
    definitions = {
        name: re.sub("schedule: .*", schedule, text)
        for name, text in DEFINITIONS.items()
        if Path(name).parent.name == "tables" or Path(name).stem in EXPORTS
    }
    folder.mkdir()
    (folder / "deltadrop.yaml").write_text(
        "root: data\nclose: {delay_seconds: 0, wait_seconds: 1}\nschedule: {retry_seconds: 0.5}\n"
    )
    shop = OfflineShop(folder, definitions=definitions)
    before = now - timedelta(hours=3)
    shop.tell(Kind.CAMPAIGN, "CREATED", before, campaignId=22)
    shop.tell(Kind.PROFILE, "CREATED", before, profileId=1)
    shop.tell(Kind.EMAIL_ACTIVITY, "SENT", before, profileId=1, interactionId=1)
    shop.store_all()
    keep_log(shop)
    at = (now - timedelta(hours=2)).replace(second=0, microsecond=0)
    in_the_way = shop.transferbox / STUCK / f"{STUCK}_{at:%Y%m%d_%H%M}.csv.gz"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_bytes(b"another's")
    return shop


def written_configuration(folder: Path, port: int, worker_port: int, node_port: int) -> Path:
    """deploy/'s configuration, in a hurry, with the ports of this test and the rules for cron."""
    read = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    read["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    read["rule_files"] = [str(file) for file in RULES]
    ports = {"deltadrop-worker": worker_port, "deltadrop-schedule": port}
    for job in read["scrape_configs"]:
        job["static_configs"] = [{"targets": [f"{HOST}:{ports[job['job_name']]}"]}]
    node: dict[str, Any] = {"job_name": "node", "metrics_path": "/deltadrop.prom"}
    node["static_configs"] = [{"targets": [f"{HOST}:{node_port}"]}]
    read["scrape_configs"].append(node)
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(read))
    return file


class QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


@contextmanager
def files_served(folder: Path, port: int) -> Iterator[None]:
    """Serve a folder, as node_exporter shows its files."""
    handler = functools.partial(QuietFiles, directory=str(folder))
    with ThreadingHTTPServer((HOST, port), handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.1,))
        thread.start()
        yield
        server.shutdown()
        thread.join()


@contextmanager
def running_scheduler(shop: OfflineShop, port: int) -> Iterator[SchedulerProcess]:
    environment = {"DELTADROP_OBSERVE__SCHEDULE_PORT": str(port)}
    scheduler = SchedulerProcess(shop.folder, Clock.at(datetime.now(UTC)), "one", environment)
    try:
        until(lambda: serves(port))
        yield scheduler
    finally:
        scheduler.process.kill()
        scheduler.wait()


@pytest.mark.parametrize(
    "query", [query for _, query in panels()], ids=[name for name, _ in panels()]
)
def test_each_panel_of_the_dashboard_shows_something(observed: Observed, query: str) -> None:
    until(lambda: observed.ask(query))


def test_the_dashboards_panels_have_names_and_places_of_their_own() -> None:
    shown = DASHBOARD["panels"]
    assert len({panel["id"] for panel in shown}) == len({panel["title"] for panel in shown})
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in shown)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


@pytest.mark.parametrize(("rule", "query"), list(rules()), ids=[name for name, _ in rules()])
def test_each_rules_query_runs_and_is_about_series_that_there_are(
    observed: Observed, rule: str, query: str
) -> None:
    observed.ask(query)

    names = set(re.findall(r"\b(?:deltadrop[\w:]+|up)\b(?=[{\[\s)])", f"{query} "))
    assert names, rule
    until(lambda: all(observed.ask(name) for name in names))


def test_promtool_finds_no_fault_in_the_metrics_of_scheduler_and_worker(
    observed: Observed,
) -> None:
    _, scheduler = page(observed.port, "/metrics")
    worker = generate_latest(WorkerMetrics([TOPIC]).registry).decode()

    for text in (scheduler, worker):
        command = [promtool(), "check", "metrics"]
        told = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert (told.returncode, told.stdout + told.stderr) == (0, "")


def test_the_scheduler_is_live_and_ready(observed: Observed) -> None:
    assert health(observed.port, "live")[0] == 200
    until(lambda: health(observed.port, "ready")[0] == 200)
    assert health(observed.port, "ready")[1]["scheduler"] == "works"


def test_what_the_scheduler_logs_of_a_close_has_export_instant_and_offsets(
    observed: Observed,
) -> None:
    [closed] = observed.scheduler.lines("closed")

    assert closed["export"] == "profiles"
    assert closed["instant"].endswith("+00:00")
    assert closed["offsets"] == {"deltadrop.shop.profile": {"0": [0, 1]}}


def test_each_step_of_a_close_in_a_lane_of_the_scheduler_is_timed(observed: Observed) -> None:
    told = served_series(observed.port)

    steps = [name for name in told if name.startswith("deltadrop_close_step_duration_seconds")]
    assert len([name for name in steps if '"profiles"' in name]) == 5


def test_a_late_export_alarms_and_goes_on_to_when_the_scheduler_is_dead(
    observed: Observed,
) -> None:
    late = 'ALERTS{alertname="DeltadropExportNotDelivered", job="deltadrop-schedule"}'

    def exports() -> set[str]:
        return {one["metric"]["export"] for one in observed.ask(late)}

    until(lambda: exports() == {STUCK})
    # In time: a busy machine misses a scrape, of which there are two a second here.
    until(lambda: observed.alarms("DeltadropCloseFails") == [STUCK])
    until(lambda: observed.alarms("DeltadropNoScheduler") == [])

    observed.scheduler.signal(signal.SIGSTOP)  # it answers no more; the other tests want it back
    try:
        until(lambda: observed.alarms("DeltadropNoScheduler"))
        told = observed.ask('deltadrop_export_deliver_by_timestamp_seconds{job!="node"}')
        still = exports()
    finally:
        observed.scheduler.signal(signal.SIGCONT)
    until(lambda: observed.ask('up{job="deltadrop-schedule"} == 1'))
    until(lambda: observed.ask('deltadrop_export_deliver_by_timestamp_seconds{job!="node"}'))

    assert (told, still) == ([], {STUCK})
