"""What may hold a secret is never shown: planted in any setting, it is in no refusal and no log."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from structlog.testing import capture_logs

from schemas.errors import DeltadropError, Fault, RegistryError, TopicError
from schemas.registry.reader import RegistryReader
from schemas.settings.kafka_access import client_options
from schemas.settings.reachable import errors_as
from schemas.settings.settings import Settings, load_settings
from schemas.settings.withheld import file_named, quoted, variable_named
from sinks.locations import KINDS, load_locations
from sinks.reports import channels_of
from tests.shop.commands import run_python
from tests.shop.told import report

ROOT = Path(__file__).parents[3]
SECRET = "S3cretPlanted0123456789"
FORMS = {
    "bare": SECRET,
    "a login in a URL": f"https://us:{SECRET}@host.example:8081/",
    "a login in an address": f"us:{SECRET}@host.example:9092",
    "a token in a URL": f"https://host.example/?token={SECRET}",
    "a port of a URL": f"https://host.example:{SECRET}",
    "a key": f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n",
    "a group": {"password": SECRET},
    "a list": [SECRET],
}
BASE: dict[str, Any] = {
    "s3": {"kind": "s3", "bucket": "drops", "endpoint": "http://127.0.0.1:1", "attempts": 1},
    "sftp": {
        "kind": "sftp",
        "host": "127.0.0.1",
        "port": 1,
        "username": "us",
        "fingerprint": "SHA256:" + "A" * 43,
        "key_file": "k",
        "attempts": 1,
    },
    "ftps": {
        "kind": "ftps",
        "host": "127.0.0.1",
        "port": 1,
        "username": "us",
        "password_env": "PATH",
        "attempts": 1,
    },
}
LOGIN = {"protocol": "SASL_SSL", "mechanism": "PLAIN", "username": "us", "password_file": "p"}
BESIDE: dict[tuple[str, ...], dict[str, Any]] = {
    ("kafka", "security"): LOGIN,
    ("registry",): {"username": "us", "password_file": "p"},
    ("mail",): {"host": "127.0.0.1", "port": 1, "username": "us", "password_file": "p"},
    ("webhook",): {"url": "http://127.0.0.1:1/", "secret_file": "p"},
}
"""What a section must have for its other fields to be read."""
NAMES = {
    "username": "says who logs in: servers' and our messages name it",
    "host": "names a server, in every message about it",
    "region": "is a part of a server's name",
    "root": "a folder, named in every message about a file",
    "tables": "a folder",
    "streams": "a folder",
    "exports": "a folder",
}
"""Fields that are shown, with the reason; a login in them isn't."""


def fields(model: type[BaseModel], at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, info in model.model_fields.items():
        yield (*at, name)
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from fields(info.annotation, (*at, name))


def of_locations() -> Iterator[tuple[str, ...]]:
    yield from (("locations", kind, name) for kind in KINDS for name in KINDS[kind].model_fields)


PLACES = [*fields(Settings), *of_locations(), ("nonsense",), ("kafka", "sasl_password")]


def planted(at: tuple[str, ...], value: object) -> dict[str, Any]:
    """Settings with a value at a place, and what that place's section needs beside it."""
    whole: dict[str, Any] = {}
    inner = whole
    for depth, name in enumerate(at[:-1]):
        beside = BESIDE.get(at[: depth + 1], {})
        if at[:1] == ("locations",) and depth == 1:
            beside = BASE[name]
        inner[name] = dict(beside)
        inner = inner[name]
    inner[at[-1]] = value
    return whole


def use(file: Path, section: str, caplog: pytest.LogCaptureFixture) -> str:
    """Load settings and use what a section names; what is said on the way."""
    said: list[str] = []

    @contextlib.contextmanager
    def heard() -> Iterator[None]:
        try:
            yield
        except DeltadropError as error:
            said.extend([str(error), json.dumps(error.to_fields())])

    with capture_logs() as logs, heard():
        settings = load_settings(file)
        said.append(repr(settings.kafka.security.password))
        match section:
            case "locations":
                for destination in load_locations(settings).values():
                    with heard():
                        list(destination.location.check())
            case "kafka":
                client_options(settings.kafka)
            case "registry":
                RegistryReader(settings.registry).close()
            case "mail" | "webhook":
                for channel in channels_of(settings):
                    with heard():
                        channel.send(report())
    return "\n".join([*said, *map(str, logs), caplog.text])


@pytest.fixture(autouse=True)
def _nothing_else(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "SCHEMA_REGISTRY_URL", "DELTADROP_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    caplog.set_level(logging.WARNING)


@pytest.mark.parametrize("at", PLACES, ids=".".join)
def test_a_secret_in_place_of_a_setting_is_not_shown(
    at: tuple[str, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "deltadrop.yaml"
    refused = 0
    for form, value in FORMS.items():
        file.write_text(yaml.safe_dump(planted(at, value)))
        said = use(file, at[0], caplog)
        refused += bool(said)
        if at[-1] in NAMES and form == "bare":
            continue
        assert SECRET not in said, form
    assert refused, "a walk that refuses nothing shows nothing"


@pytest.mark.parametrize("at", list(fields(Settings)), ids=".".join)
def test_a_secret_in_a_variable_is_not_shown(
    at: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = tmp_path / "deltadrop.yaml"
    file.write_text("worker: {}\n")
    for form, value in FORMS.items():
        text = value if isinstance(value, str) else json.dumps(value)
        monkeypatch.setenv("DELTADROP_" + "__".join(at).upper(), text)
        if at[-1] in NAMES and form == "bare":
            continue
        assert SECRET not in use(file, at[0], caplog), form


@pytest.mark.parametrize(
    "text",
    [
        f"kafka: *{SECRET}",
        f"kafka: !{SECRET} x",
        f"kafka: {{security: {{password {SECRET}}}}}",
        f"kafka:\n  password {SECRET}\n",
        f"password: '{SECRET}\n",
        f"a: !{SECRET}!b x",
        f"a: &{SECRET} 1\nb: &{SECRET} 1\n",
        f"a: !!int '{SECRET}'",
    ],
)
def test_a_secret_in_a_file_that_is_no_yaml_is_not_shown(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "deltadrop.yaml"
    file.write_text(text)
    said = use(file, "", caplog)

    assert said
    assert SECRET not in said


def test_a_library_that_repeats_its_url_shows_no_login() -> None:
    url = f"https://us:{SECRET}@host/path"
    with (
        pytest.raises(TopicError) as failed,
        errors_as(TopicError, "no", where=url, foreign=OSError),
    ):
        raise OSError(f"can't get {url}")

    assert SECRET not in f"{failed.value}{failed.value.to_fields()}"
    assert "https://***@host/path" in str(failed.value)
    assert SECRET not in str(Fault(url, url, url))


@pytest.mark.parametrize("in_a_file", [False, True])
def test_a_log_has_no_login_of_a_url_nor_has_its_traceback(tmp_path: Path, in_a_file: bool) -> None:
    code = (
        "import logging, structlog; from pathlib import Path; from schemas.logs import *\n"
        f"configure_logs(Path('log') if {in_a_file} else None)\n"
        f"url = 'https://us:{SECRET}@host/path'\n"
        "structlog.get_logger('x').warning('failed', said=url)\n"
        "logging.getLogger('a.library').warning('no %s', url)\n"
        "try: raise ValueError(url)\n"
        "except ValueError: structlog.get_logger('x').exception('failed')\n"
    )
    done = run_python(code, tmp_path)
    written = done.stderr + (tmp_path / "log").read_text() if in_a_file else done.stderr

    assert written.count("https://***@host/path") == 3
    assert SECRET not in written


def test_a_login_in_a_proxys_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for proxy in (f"http://us:{SECRET}@127.0.0.1:1", f"htp://us:{SECRET}@127.0.0.1:1"):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        with pytest.raises((RegistryError, ValueError)) as failed:
            RegistryReader(load_settings().registry.model_copy(update={"url": "http://r"})).by_id(1)
        assert SECRET not in str(failed.value)


def test_what_is_no_secret_is_shown() -> None:
    assert quoted("many") == "'many'"
    assert file_named(Path("/run/secrets/deltadrop_partner.pem")).endswith("_partner.pem")
    assert variable_named("PARTNER_PASSWORD") == "the environment variable PARTNER_PASSWORD"
    assert variable_named("AKIAIOSFODNN7EXAMPLE") == "the environment variable"
