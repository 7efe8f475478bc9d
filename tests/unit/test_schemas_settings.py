"""Settings: the file, the environment above it, and refusals that say where a value came from."""

from pathlib import Path

import pytest

from schemas.errors import DefinitionError
from schemas.settings import load_settings


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "SCHEMA_REGISTRY_URL", "DELTADROP_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def settings_file(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "deltadrop.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def faults_of(file: Path) -> list[str]:
    with pytest.raises(DefinitionError) as refused:
        load_settings(file)
    return str(refused.value).replace(f"{file.parent}/", "").splitlines()


def test_without_a_file_there_are_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert settings.kafka.topic_prefix == "deltadrop"
    assert settings.close.firsts_days == 400
    assert settings.root == Path("var")


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    assert faults_of(tmp_path / "none.yaml") == [
        "none.yaml: can't be read: No such file or directory"
    ]


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = load_settings(settings_file(tmp_path, "root: data\ntables: /etc/tables\n"))
    assert settings.root == tmp_path / "data"
    assert settings.tables == Path("/etc/tables")


def test_the_environment_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = settings_file(
        tmp_path, "kafka: {bootstrap_servers: 'a:1', partitions: 3}\nclose: {wait_seconds: 5}\n"
    )
    monkeypatch.setenv("DELTADROP_CLOSE__WAIT_SECONDS", "7")
    monkeypatch.setenv("DELTADROP_KAFKA__BOOTSTRAP_SERVERS", "b:1")
    assert load_settings(file).close.wait_seconds == 7
    assert load_settings(file).kafka.bootstrap_servers == "b:1"
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "c:1")
    assert load_settings(file).kafka.bootstrap_servers == "c:1"
    assert load_settings(file).kafka.partitions == 3


def test_the_file_may_be_named_by_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELTADROP_CONFIG", str(settings_file(tmp_path, "worker: {group: g}\n")))
    assert load_settings().worker.group == "g"


def test_every_fault_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELTADROP_CLOSE__WAIT_SECONDS", "soon")
    file = settings_file(tmp_path, "kafka:\n  partitons: 3\nworker:\n  batch_bytes: 0\n")
    faults = faults_of(file)
    assert len(faults) == 3
    assert any(
        f.startswith("deltadrop.yaml:2: field 'kafka.partitons': unknown key; choose from")
        and f.endswith("nearest match 'partitions'")
        for f in faults
    )
    assert any(f.startswith("deltadrop.yaml:4: field 'worker.batch_bytes':") for f in faults)
    assert any(f.startswith("environment variable DELTADROP_CLOSE__WAIT_SECONDS:") for f in faults)


def test_a_mistyped_variable_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTADROP_CLOSE__WAITSECONDS", "7")
    assert faults_of(settings_file(tmp_path, "worker: {}\n")) == [
        "environment variable DELTADROP_CLOSE__WAITSECONDS: there is no such setting;"
        " nearest match 'DELTADROP_CLOSE__WAIT_SECONDS'"
    ]


def test_a_password_is_read_from_its_file_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n", encoding="utf-8")
    security = f"{{password_file: {tmp_path / 'secret'}, password: other}}"
    settings = load_settings(settings_file(tmp_path, f"kafka: {{security: {security}}}\n"))
    assert settings.kafka.security.secret() == "s3cret"
    assert "other" not in repr(settings)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("root: [a]", "field 'root': '['a']' isn't a path"),
        ("kafka: {partitions: many}", "field 'kafka.partitions': 'many' isn't a whole number"),
        (
            "registry: {url: kafka-1}",
            "field 'registry.url': 'kafka-1' isn't allowed; it must match",
        ),
        ("close: {memory_limit: 1 gigs}", "field 'close.memory_limit': '1 gigs' isn't allowed"),
    ],
)
def test_a_wrong_value_is_told_in_our_words(tmp_path: Path, written: str, told: str) -> None:
    (fault,) = faults_of(settings_file(tmp_path, written))

    assert told in fault
