"""Settings of locations (`locations:`): validated whole, with the line of every fault, and without
secrets of their own.
"""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import deltadrop
from schemas.errors import DefinitionError
from schemas.settings.settings import load_settings
from schemas.tables import load_catalog
from sinks.exports.export import load_exports
from sinks.locations import KINDS, TRANSFERBOX, Locations, Terms, load_locations, terms_of
from tests.shop.json_page import check_documented
from tests.shop.offline import DEFINITIONS, with_exports

SFTP = "kind: sftp, host: sftp.example.com, username: us"
DOC = Path(__file__).parents[3] / "docs" / "locations.md"


def load(tmp_path: Path, text: str) -> Locations:
    file = tmp_path / "deltadrop.yaml"
    file.write_text(text)
    return load_locations(load_settings(file))


def faults(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(DefinitionError) as refusal:
        load(tmp_path, text)
    return str(refusal.value).replace(f"{tmp_path}/", "").splitlines()


def test_the_transferbox_is_always_there(tmp_path: Path) -> None:
    assert list(load(tmp_path, "root: var\n")) == [TRANSFERBOX]


def test_the_transferbox_isn_t_described_among_the_locations(tmp_path: Path) -> None:
    assert faults(tmp_path, "locations:\n  transferbox: {kind: sftp}\n") == [
        "deltadrop.yaml:2: location 'transferbox' is always there; "
        "put its settings in the section 'transferbox', or name this one otherwise"
    ]


def test_the_transferbox_gets_what_its_settings_say_as_any_location(tmp_path: Path) -> None:
    found = load(tmp_path, "transferbox: {manifests: false, ready_file: .r, checksum_file: true}\n")

    assert terms_of(found) == {TRANSFERBOX: Terms(False, ".r", checksum_file=True)}


def test_a_server_gets_a_checksum_file_where_its_settings_say_so(tmp_path: Path) -> None:
    partner = f"{SFTP}, known_hosts: h, key_file: k"
    found = load(
        tmp_path,
        f"locations:\n  a: {{{partner}, checksum_file: true}}\n  b: {{{partner}}}\n",
    )

    assert [terms_of(found)[name].checksum_file for name in ("a", "b")] == [True, False]


_READY = {
    ".manifest.json": "ends as other files do (.manifest.json); choose another, as .ready",
    "-.Manifest.JSON": "ends as other files do (.manifest.json); choose another, as .ready",
    ".gz": "ends as other files do (.gz); choose another, as .ready",
    ".part": "ends as other files do (.part); choose another, as .ready",
    ".sha256": "ends as other files do (.sha256); choose another, as .ready",
    "-r1": "ends as revisions do (-r1); choose another, as .ready",
    "_-R12": "ends as revisions do (-r1); choose another, as .ready",
}
_NO_ENDING = (
    "isn't an ending: a dot, dash or underscore, then up to 30 letters, digits, dots, dashes and "
    "underscores, a letter or digit last, as .ready"
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [*_READY.items(), *((given, _NO_ENDING) for given in ("ready", ".", "./x", "-" + 31 * "a"))],
)
def test_a_ready_file_is_called_as_no_other_file_of_a_drop(
    tmp_path: Path, given: str, expected: str
) -> None:
    at_a_server = f"locations:\n  partner: {{{SFTP}, known_hosts: h, key_file: k, ready_file: "

    assert faults(tmp_path, f"transferbox: {{ready_file: '{given}'}}\n") == [
        f"deltadrop.yaml:1: field 'transferbox.ready_file': '{given}' {expected}"
    ]
    (fault,) = faults(tmp_path, f"{at_a_server}'{given}'}}\n")
    assert fault.endswith(f"'{given}' {expected}")


def test_all_faults_are_told_with_their_lines(tmp_path: Path) -> None:
    told = faults(
        tmp_path,
        "locations:\n"
        "  one: {host: x}\n"
        "  two:\n"
        "    kind: stfp\n"
        "  three:\n"
        "    kind: sftp\n    host: sftp.example.com\n    username: us\n"
        "    password_env: PASSWORD\n"
        "    fingerprint: SHA256:AAAA\n"
        "    ready: .ok\n"
        "  four:\n"
        "    kind: s3\n"
        "    bucket: drops\n"
        "    access_key_env: KEY\n",
    )

    assert told[0] == f"deltadrop.yaml:2: location 'one': kind is missing; {KINDS_LISTED}"
    assert told[1] == (
        "deltadrop.yaml:4: location 'two': 'stfp' isn't a kind of location; "
        f"{KINDS_LISTED}; nearest match 'sftp'"
    )
    assert told[2] == (
        "deltadrop.yaml:10: field 'locations.three.fingerprint': 'SHA256:AAAA' isn't allowed; "
        "write it as `ssh-keygen -lf` prints it: SHA256: and 43 characters"
    )
    assert told[3].startswith("deltadrop.yaml:11: field 'locations.three.ready': unknown key; ")
    assert told[3].endswith("nearest match 'ready_file'")
    assert told[4].startswith("deltadrop.yaml:12: field 'locations.four")
    assert told[4].endswith("secret_key_env or secret_key_file is missing: keys come in pairs")
    assert len(told) == 5


KINDS_LISTED = f"choose from {', '.join(KINDS)}"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (f"{SFTP}, key_file: k", "known_hosts or fingerprint (one of them)"),
        (f"{SFTP}, known_hosts: h", "password_env, password_file or key_file (one)"),
        (f"{SFTP}, known_hosts: h, key_file: k, password_env: P", "key_file (one)"),
        (f"{SFTP}, known_hosts: h, key_file: k, rename: false", "a ready_file must tell"),
        ("kind: ftps, host: h, username: us", "password_env or password_file (one of them)"),
        ("kind: s3, bucket: drops, kms_key: k", "is for encryption: aws:kms only"),
        ("kind: s3, bucket: drops, folder: ../up", "write it as drops/daily: folders of"),
        (
            "kind: s3, bucket: drops, endpoint: 'https://key:secret@s3.example.com'",
            "write it as https://s3.example.com, without a login",
        ),
    ],
)
def test_what_doesn_t_fit_together_is_refused(tmp_path: Path, told: str, expected: str) -> None:
    (fault,) = faults(tmp_path, f"locations:\n  partner: {{{told}}}\n")

    assert fault.startswith("deltadrop.yaml:2: ")
    assert expected in fault


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_takes_a_secret_itself(tmp_path: Path, kind: str) -> None:
    told = faults(tmp_path, f"locations:\n  partner: {{kind: {kind}, password: hunter2}}\n")

    assert any("field 'locations.partner.password': unknown key" in fault for fault in told)
    assert "hunter2" not in "\n".join(told)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    found = load(tmp_path, f"locations:\n  partner: {{{SFTP}, known_hosts: h, key_file: k}}\n")

    settings = found["partner"].location.settings  # type: ignore[attr-defined]
    assert (settings.known_hosts, settings.key_file) == (tmp_path / "h", tmp_path / "k")


def test_an_export_that_skips_needs_a_location_with_manifests(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        f"locations:\n  partner: {{{SFTP}, known_hosts: h, key_file: k, manifests: false}}\n",
    )
    for name, text in DEFINITIONS.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    with (tmp_path / "exports/sent.yaml").open("a") as export:
        export.write("when_empty: skip\ndeliver: [partner]\n")

    with pytest.raises(DefinitionError) as refusal:
        load_exports(tmp_path / "exports", load_catalog(tmp_path / "tables"), terms_of(found))

    assert "field 'when_empty': 'partner' gets no manifests" in str(refusal.value)


def test_an_export_that_skips_is_refused_where_the_transferbox_has_no_manifests(
    tmp_path: Path,
) -> None:
    found = load(tmp_path, "transferbox: {manifests: false}\n")
    for name, text in with_exports("sent").items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    with (tmp_path / "exports/sent.yaml").open("a") as export:
        export.write("when_empty: skip\n")

    with pytest.raises(DefinitionError) as refusal:
        load_exports(tmp_path / "exports", load_catalog(tmp_path / "tables"), terms_of(found))

    assert str(refusal.value) == (
        f"{tmp_path}/exports/sent.yaml:10: field 'when_empty': 'transferbox' gets no manifests, "
        "and would get nothing at all for an empty window; "
        "choose when_empty: header, or turn the manifests of that location on"
    )


# check-location


def check(tmp_path: Path, *arguments: str) -> tuple[int, str]:
    file = tmp_path / "deltadrop.yaml"
    if not file.exists():
        file.write_text("root: var\n")
    result = CliRunner().invoke(
        deltadrop.app, ["check-location", *arguments, "--config", str(file)]
    )
    if "--json" in arguments:
        check_documented("check-location", result.stdout)
    return result.exit_code, result.stdout


def test_check_location_tells_each_step(tmp_path: Path) -> None:
    assert check(tmp_path, TRANSFERBOX) == (0, "write    ok\nrename   ok\ndelete   ok\n")


def test_check_location_says_which_step_failed_and_why(tmp_path: Path) -> None:
    file = tmp_path / "deltadrop.yaml"
    told = SFTP.replace("sftp.example.com", "127.0.0.1, port: 1")
    file.write_text(f"locations:\n  partner: {{{told}, known_hosts: h, key_file: k}}\n")

    code, output = check(tmp_path, "partner")
    _, as_json = check(tmp_path, "partner", "--json")

    assert code == 1
    assert output.startswith(
        "connect  failed: sftp://us@127.0.0.1:1: can't be reached: Connection refused; check host"
    )
    assert json.loads(as_json)["failed"]["step"] == "connect"


# The page of the docs.


def test_the_settings_of_the_docs_are_accepted(tmp_path: Path) -> None:
    blocks = DOC.read_text().split("```yaml\n")[1:]
    text = next(block.split("```")[0] for block in blocks if block.startswith("locations:"))

    found = load(tmp_path, text)

    assert {type(one.location).__name__.lower() for one in found.values()} == {TRANSFERBOX, *KINDS}


def test_the_docs_tell_every_setting_of_every_kind() -> None:
    text = DOC.read_text()
    fields = {field for kind in KINDS.values() for field in kind.model_fields}

    assert [field for field in sorted(fields) if f"`{field}`" not in text] == []


def test_the_docs_example_is_yaml_without_a_secret() -> None:
    blocks = DOC.read_text().split("```yaml\n")[1:]
    for block in blocks:
        assert isinstance(yaml.safe_load(block.split("```")[0]), dict)
