"""`make demo` and `make example-cdnow`, small: what a newcomer sees first must work."""

from pathlib import Path

import pytest

from deploy.demo.__main__ import main as demo
from deploy.parts import KafkaBroker, SchemaRegistry
from examples.cdnow.__main__ import main as cdnow


@pytest.fixture
def shared_parts(
    kafka: KafkaBroker, registry: SchemaRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let demo and example take the session's Kafka and registry."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", registry.url)


@pytest.mark.usefixtures("shared_parts")
def test_the_demo_shows_drops_and_their_balance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo(["--events", "6000", "--folder", str(tmp_path / "demo")]) == 0

    told = capsys.readouterr().out
    files = [file for file in (tmp_path / "demo/transferbox").rglob("*") if file.is_file()]
    drops = [file for file in files if not file.name.endswith(".manifest.json")]
    exports = list((tmp_path / "demo/exports").glob("*.yaml"))
    assert len(drops) == 2 * len(exports) > 2 * 20
    assert all(file.name in told for file in drops)
    assert "exported" in told
    for partner in ("lake/buckets/drops", "agency/jail/home"):
        theirs = list((tmp_path / "demo/partners" / partner).rglob("emails-clicks_*.csv"))
        assert len(theirs) == 2, partner
        assert all(f"marketing/emails-clicks/{file.name}" in told for file in theirs)
    assert "Subject: deltadrop: emails-clicks delivered" in told
    assert "next close" in told


@pytest.mark.usefixtures("shared_parts")
def test_the_drops_of_real_purchases_are_what_pandas_makes_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cdnow(["--months", "2", "--folder", str(tmp_path / "cdnow")]) == 0

    assert "line for line as pandas makes them" in capsys.readouterr().out
