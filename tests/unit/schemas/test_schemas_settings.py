"""Settings: the file, the environment above it, and refusals that say where a value came from."""

from pathlib import Path

import pytest

from schemas.errors import DefinitionError
from schemas.settings.credentials import password_of
from schemas.settings.kafka_access import client_options
from schemas.settings.settings import load_settings
from streams.reading.kafka_access import faust_credentials

LOGIN = "protocol: SASL_PLAINTEXT, mechanism: PLAIN, username: us"


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


def test_a_password_is_read_from_its_file_or_the_environment_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("s3cret\n", encoding="utf-8")
    login = f"{LOGIN}, password_file: secret"
    settings = load_settings(settings_file(tmp_path, f"kafka: {{security: {{{login}}}}}\n"))
    assert password_of(settings.kafka.security, "kafka.security") == "s3cret"

    monkeypatch.setenv("DELTADROP_KAFKA__SECURITY__PASSWORD", "0ther")
    settings = load_settings(settings_file(tmp_path, f"kafka: {{security: {{{LOGIN}}}}}\n"))
    assert client_options(settings.kafka)["sasl_plain_password"] == "0ther"
    shown = f"{settings!r} {settings.kafka.security} {faust_credentials(settings.kafka)!r}"
    assert "0ther" not in shown


@pytest.mark.parametrize(
    ("section", "variable"),
    [
        ("kafka: {security: {password: a}}", "DELTADROP_KAFKA__SECURITY__PASSWORD"),
        ("registry: {password: a}", "DELTADROP_REGISTRY__PASSWORD"),
    ],
)
def test_a_password_in_the_file_is_refused_and_not_repeated(
    tmp_path: Path, section: str, variable: str
) -> None:
    (fault,) = faults_of(settings_file(tmp_path, section.replace("a}", "op3n}")))

    assert "a secret doesn't belong in this file" in fault
    assert variable in fault
    assert "op3n" not in fault


@pytest.mark.parametrize(
    ("security", "told"),
    [
        (
            "protocol: SASL_SSL",
            "SASL_SSL needs mechanism, username, password_file, or"
            " DELTADROP_KAFKA__SECURITY__PASSWORD",
        ),
        ("protocol: SSL, username: a", "SSL has no login: username would not be used"),
        ("ca_file: ca.pem", "PLAINTEXT isn't encrypted: ca_file would not be used"),
        ("protocol: SSL, key_file: k.pem", "key_file needs its certificate_file"),
    ],
)
def test_no_kafka_setting_is_missing_or_ignored(tmp_path: Path, security: str, told: str) -> None:
    assert faults_of(settings_file(tmp_path, f"kafka: {{security: {{{security}}}}}")) == [
        f"deltadrop.yaml:1: field 'kafka.security': {told}"
    ]


@pytest.mark.parametrize(
    ("registry", "told"),
    [
        ("username: a", "field 'registry': a login needs both, username and a password"),
        ("password_file: a", "field 'registry': a login needs both, username and a password"),
        ("ca_file: a", "field 'registry': ca_file would not be used: the url isn't https"),
        ("url: 'https://a:op3n@b'", "field 'registry.url': has a login in it; set registry.user"),
    ],
)
def test_no_setting_of_the_registry_is_missing_or_ignored(
    tmp_path: Path, registry: str, told: str
) -> None:
    (fault,) = faults_of(settings_file(tmp_path, f"registry: {{{registry}}}"))

    assert told in fault
    assert "op3n" not in fault


def test_files_of_kafka_and_the_registry_are_relative_to_the_settings_file(tmp_path: Path) -> None:
    security = "protocol: SSL, ca_file: a/ca.pem, certificate_file: a.pem, key_file: /a.key"
    registry = "url: 'https://a', username: u, password_file: secret, ca_file: ca.pem"
    file = settings_file(tmp_path, f"kafka: {{security: {{{security}}}}}\nregistry: {{{registry}}}")
    settings = load_settings(file)

    own, asked = settings.kafka.security, settings.registry
    assert (own.ca_file, own.key_file) == (tmp_path / "a/ca.pem", Path("/a.key"))
    assert own.certificate_file == tmp_path / "a.pem"
    assert (asked.password_file, asked.ca_file) == (tmp_path / "secret", tmp_path / "ca.pem")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("root: [a]", "field 'root': '['a']' isn't a path"),
        ("kafka: {partitions: many}", "field 'kafka.partitions': 'many' isn't a whole number"),
        (
            "registry: {url: kafka-1}",
            "field 'registry.url': what is given isn't allowed; it begins with http:// or https://",
        ),
        ("close: {memory_limit: 1 gigs}", "field 'close.memory_limit': '1 gigs' isn't allowed"),
    ],
)
def test_a_wrong_value_is_told_in_our_words(tmp_path: Path, written: str, told: str) -> None:
    (fault,) = faults_of(settings_file(tmp_path, written))

    assert told in fault
