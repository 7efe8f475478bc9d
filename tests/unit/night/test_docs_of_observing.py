"""What docs/observing.md says is what there is: metrics, alerts, settings."""

import re
from pathlib import Path

import yaml
from prometheus_client import generate_latest

from schemas.settings.observe import ObserveSettings
from schemas.settings.settings import load_settings
from sinks.ledger.lease import Keeper, Lease
from sinks.night.observing import SchedulerWatch, writing_metrics
from streams.metrics import WorkerMetrics
from tests.shop.offline import OfflineShop, at, with_exports
from tests.unit.closing.test_observed_closes import Night

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "observing.md").read_text()
RULES = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))


def families(text: str) -> set[str]:
    """Names as the text of metrics tells them."""
    return set(re.findall(r"^# TYPE (deltadrop_\w+)", text, flags=re.MULTILINE))


def test_the_page_names_each_metric_and_no_other(tmp_path: Path) -> None:
    shop, night = OfflineShop(tmp_path, definitions=with_exports("stores")), Night()
    lease = Lease(shop.sinks.ledger.store, "schedule", holder="a", seconds=60, now=night.now)
    scheduler = SchedulerWatch(
        lambda: shop.sinks, Keeper(lease, night.now), night, night.now, lambda: 0.0
    )
    with writing_metrics(shop.sinks, tmp_path / "deltadrop.prom", lambda: at(6, 29)):
        pass
    texts = [
        generate_latest(scheduler.registry).decode(),
        generate_latest(WorkerMetrics(["a topic"]).registry).decode(),
        (tmp_path / "deltadrop.prom").read_text(),
    ]

    named = set(re.findall(r"`(deltadrop_\w+)`", PAGE))
    assert named == {name for text in texts for name in families(text)}


def test_the_page_names_each_alert_and_no_other() -> None:
    alerts = {
        rule["alert"]
        for file in RULES
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    assert alerts
    assert set(re.findall(r"`(Deltadrop\w+)`", PAGE)) == alerts


def test_the_pages_settings_are_all_that_there_are(tmp_path: Path) -> None:
    [block] = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    file = tmp_path / "deltadrop.yaml"
    file.write_text(block)

    assert set(yaml.safe_load(block)["observe"]) == set(ObserveSettings.model_fields)
    assert load_settings(file).observe.schedule_port == 9402


def test_the_pages_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)", PAGE)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
