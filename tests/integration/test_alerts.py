"""The rules for Prometheus: promtool finds no fault in them, and they alarm when they should."""

import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.parts.prometheus import promtool

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
CASES = sorted((ROOT / "tests" / "alerts").glob("*.yml"))


def run(*arguments: str) -> None:
    told = subprocess.run([promtool(), *arguments], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize("rules", RULES, ids=lambda file: file.stem)
def test_promtool_finds_no_fault_in_the_rules(rules: Path) -> None:
    run("check", "rules", str(rules))


def test_promtool_finds_no_fault_in_the_configuration() -> None:
    run("check", "config", str(ROOT / "deploy" / "prometheus" / "prometheus.yml"))


@pytest.mark.parametrize("cases", CASES, ids=lambda file: file.stem)
def test_the_rules_alarm_when_they_should_and_are_silent_else(cases: Path) -> None:
    run("test", "rules", str(cases))


def test_each_alert_has_a_case_in_which_it_fires() -> None:
    alerts = {
        rule["alert"]
        for file in RULES
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    told = "".join(file.read_text() for file in CASES)

    assert len(RULES) == 4
    assert {alert for alert in alerts if alert not in told} == set()
