"""Files of certificates and passwords: what can't be used is named, and nothing of it is shown."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from deploy.parts.certificates import Certificate, self_signed
from schemas.errors import DefinitionError
from schemas.settings.credentials import password_of, tls_context
from schemas.settings.kafka import KafkaSecurity, KafkaSettings
from schemas.settings.kafka_access import client_options


@pytest.fixture
def own(tmp_path: Path) -> Certificate:
    return self_signed(tmp_path)


def refusal(ca: Path | None, certificate: Path | None = None, key: Path | None = None) -> str:
    with pytest.raises(DefinitionError) as refused:
        tls_context("kafka.security", ca, certificate, key)
    return str(refused.value)


def test_certificates_and_host_names_are_verified(own: Certificate) -> None:
    context = tls_context("kafka.security", own.certificate, own.certificate, own.key)

    assert (context.check_hostname, context.verify_mode.name) == (True, "CERT_REQUIRED")
    assert len(context.get_ca_certs()) == 1  # with a ca_file the system's aren't trusted


def test_a_certificate_and_its_key_may_be_one_file(own: Certificate, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(own.key.read_bytes() + own.certificate.read_bytes())

    assert tls_context("kafka.security", None, both)


def test_a_file_that_isnt_there_or_no_certificate_is_named(own: Certificate) -> None:
    gone = Path("/nowhere/a.pem")
    missing = f"{gone} can't be read: No such file or directory"

    assert refusal(gone) == f"kafka.security.ca_file: {missing}"
    assert refusal(own.key) == f"kafka.security.ca_file: {own.key} isn't a certificate in PEM"
    assert refusal(None, gone) == f"kafka.security.certificate_file: {missing}"
    assert refusal(None, own.certificate, gone) == f"kafka.security.key_file: {missing}"


def test_a_key_of_another_or_with_a_passphrase_is_refused_without_asking(
    own: Certificate, tmp_path: Path
) -> None:
    other = self_signed(tmp_path, name="other")
    key = serialization.load_pem_private_key(own.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    form, written = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
    lock = serialization.BestAvailableEncryption(b"sesame")
    locked.write_bytes(key.private_bytes(written, form, lock))

    for wrong in (other.key, locked):
        told = refusal(None, own.certificate, wrong)
        assert f"kafka.security.certificate_file: {own.certificate} and {wrong} can't be" in told
        assert "the key without a passphrase, and belong together" in told


def test_a_password_that_cant_be_had_is_told_by_its_setting(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")
    login = {"protocol": "SASL_SSL", "mechanism": "PLAIN", "username": "us"}
    told = []
    for file in (empty, tmp_path / "gone"):
        security = KafkaSecurity.model_validate({**login, "password_file": file})
        with pytest.raises(DefinitionError) as refused:
            password_of(security, "kafka.security")
        told.append(str(refused.value))

    gone = f"{tmp_path / 'gone'} can't be read: No such file or directory"
    assert told == [
        "kafka.security.password_file: is empty",
        f"kafka.security.password_file: {gone}",
    ]


@pytest.mark.parametrize(
    ("mechanism", "name"), [("PLAIN", "a=b,c"), ("SCRAM-SHA-256", "a=3Db=2Cc")]
)
def test_a_users_name_is_escaped_where_scram_asks_for_it(mechanism: str, name: str) -> None:
    """RFC 5802, 5.1: kafka-python doesn't."""
    login = {"mechanism": mechanism, "username": "a=b,c", "password": "x"}
    security = KafkaSecurity.model_validate({"protocol": "SASL_PLAINTEXT", **login})

    assert client_options(KafkaSettings(security=security))["sasl_plain_username"] == name
