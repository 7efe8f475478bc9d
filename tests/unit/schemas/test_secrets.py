"""Secrets: an empty one is refused wherever it comes from, a file open to all is warned of."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from schemas.errors import DefinitionError, ReportError
from schemas.settings.credentials import password_of
from schemas.settings.kafka import KafkaSecurity
from schemas.settings.registry import RegistrySettings
from schemas.settings.reports import MailSettings, WebhookSettings
from schemas.settings.secret_files import secret_in
from schemas.settings.settings import load_settings
from sinks.locations import DeliveryError
from sinks.locations.settings import secret
from sinks.reports import Mail, Webhook
from sinks.service.definitions import validate_definitions
from sinks.service.locations import check_location
from tests.shop.offline import DEFINITIONS
from tests.shop.told import report

VARIABLES = {
    "DELTADROP_KAFKA__SECURITY__PASSWORD": "kafka: {security: {protocol: SASL_SSL,"
    " mechanism: PLAIN, username: us}}",
    "DELTADROP_REGISTRY__PASSWORD": "registry: {username: us}",
    "DELTADROP_MAIL__PASSWORD": "mail: {username: us}",
    "DELTADROP_WEBHOOK__SECRET": "webhook: {url: 'http://127.0.0.1:1/'}",
}
BLANK = ["", " ", "\n", " \t\n"]


def settings_file(tmp_path: Path, text: str) -> Path:
    for name, content in DEFINITIONS.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(content)
    file = tmp_path / "deltadrop.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("value", BLANK)
def test_a_variable_without_a_secret_is_refused(
    variable: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(DefinitionError, match=r"is empty|needs"):
        load_settings(settings_file(tmp_path, VARIABLES[variable]))


@pytest.mark.parametrize("content", BLANK)
def test_a_file_without_a_secret_is_used_by_nothing(content: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(content)
    login: dict[str, Any] = {"username": "us", "password_file": file}
    security = {**login, "protocol": "SASL_SSL", "mechanism": "PLAIN"}
    for section in (RegistrySettings(**login), KafkaSecurity(**security), MailSettings(**login)):
        with pytest.raises(DefinitionError, match="is empty"):
            password_of(section, "section")
    with pytest.raises(DeliveryError, match="is empty"):
        secret("the password", None, file, "partner")
    webhook = WebhookSettings(url=SecretStr("http://127.0.0.1:1/"), secret_file=file)
    with pytest.raises(ReportError, match=r"the secret in webhook\.secret_file is empty"):
        Webhook(webhook).send(report())


@pytest.mark.parametrize("content", BLANK)
def test_a_locations_variable_without_a_secret_is_not_set(
    content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARTNER_PASSWORD", content)

    with pytest.raises(DeliveryError, match="PARTNER_PASSWORD"):
        secret("the password", "PARTNER_PASSWORD", None, "partner")


def test_validate_refuses_an_empty_file_of_a_secret_and_passes_one_that_isnt_there(
    tmp_path: Path,
) -> None:
    text = (
        "webhook: {url: 'http://127.0.0.1:1/', secret_file: key}\n"
        "locations: {lake: {kind: ftps, host: h, username: us, password_file: password}}\n"
    )
    settings = load_settings(settings_file(tmp_path, text))
    assert validate_definitions(settings).warnings == ()

    for name in ("key", "password"):
        (tmp_path / name).write_text(" \n")
        (tmp_path / name).chmod(0o600)
    with pytest.raises(DefinitionError) as refused:
        validate_definitions(settings)

    assert str(refused.value).replace(f"{tmp_path}/", "").splitlines() == [
        "webhook.secret_file: key is empty; it holds the secret",
        "locations.lake.password_file: password is empty; it holds the secret",
    ]


def test_a_login_of_mail_has_a_name_and_a_password() -> None:
    with pytest.raises(ValueError, match="a login needs both"):
        MailSettings(username="us")
    with pytest.raises(ValueError, match="a login needs both"):
        MailSettings(password=SecretStr("x"))
    with pytest.raises(ValueError, match="at least 1 character"):
        MailSettings(username="", password=SecretStr("x"))


def test_a_password_file_of_mail_that_isnt_text_is_told(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"\xff\xfe")
    settings = MailSettings(username="us", password_file=file)

    with pytest.raises(DefinitionError, match="isn't text in UTF-8"):
        password_of(settings, "mail")
    assert Mail(settings).name == "mail"


def test_a_file_that_everybody_may_read_is_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cret\n")
    file.chmod(0o640)
    assert secret_in(file) == "s3cret"
    assert caplog.records == []

    file.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        assert (secret_in(file), secret_in(file)) == ("s3cret", "s3cret")

    (warning,) = caplog.messages
    assert warning.startswith(f"everybody on this machine may read the secret in {file}; ")
    assert "s3cret" not in warning


def test_validate_and_check_location_warn_of_what_others_can_read(tmp_path: Path) -> None:
    text = (
        "kafka: {security: {protocol: SASL_PLAINTEXT, mechanism: PLAIN, username: us,"
        " password_file: p}}\n"
        "registry: {url: 'http://registry:8081', username: us, password_file: p}\n"
        "webhook: {url: 'http://hooks.example/', secret_file: p}\n"
        "locations:\n"
        "  lake: {kind: s3, bucket: drops, endpoint: 'http://s3.example',"
        " access_key_file: p, secret_key_file: p, attempts: 1, timeout_seconds: 0.1}\n"
        "  here: {kind: s3, bucket: drops, endpoint: 'http://127.0.0.1:1'}\n"
        "  safe: {kind: s3, bucket: drops, endpoint: 'https://s3.example'}\n"
    )
    settings = load_settings(settings_file(tmp_path, text))
    (tmp_path / "p").write_text("s3cret")
    (tmp_path / "p").chmod(0o600)
    open_ones = [
        "kafka.security.protocol: login and events travel unencrypted (SASL_PLAINTEXT); use"
        " SASL_SSL outside a network that you trust",
        "registry.url: the login travels unencrypted; use https outside a network that you trust",
        "webhook.url: reports travel unencrypted; use https outside a network that you trust",
        "locations.lake.endpoint: drops travel unencrypted, and whoever reads them can replay the"
        " requests; use https outside a network that you trust",
    ]
    assert list(validate_definitions(settings).warnings) == open_ones

    (tmp_path / "p").chmod(0o604)
    warnings = validate_definitions(settings).warnings
    readable = [each.partition(":")[0] for each in warnings if "everybody on this" in each]
    assert readable == [
        "kafka.security.password_file",
        "registry.password_file",
        "webhook.secret_file",
        "locations.lake.access_key_file",
        "locations.lake.secret_key_file",
    ]
    check, _ = check_location(settings, "lake", lambda _: None)
    assert [warning.partition(":")[0] for warning in check.warnings] == [
        "locations.lake.access_key_file",
        "locations.lake.secret_key_file",
        "locations.lake.endpoint",
    ]
