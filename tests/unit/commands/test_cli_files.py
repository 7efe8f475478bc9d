"""`verify` and `validate` as commands: what they print, and their exit codes."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
import typer
from typer.testing import CliRunner

from schemas.errors import DefinitionError, WrongInputError
from sinks.commands.validate import validate
from sinks.commands.verify import verify
from tests.shop.json_page import check_documented
from tests.unit.drops.drops import export, write_drop

DEMO = Path(__file__).parents[3] / "deploy" / "demo"
ROWS = pa.table({"interactionId": pa.array([1], pa.int64())})

app = typer.Typer()
app.command()(verify)
app.command()(validate)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the demo's definitions, and a settings file."""
    for name in ("tables", "exports"):
        shutil.copytree(DEMO / name, tmp_path / name)
    (tmp_path / "deltadrop.yaml").write_text("root: var\n")
    return tmp_path


def run(*arguments: object) -> tuple[int, str, BaseException | None]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if "--json" in arguments:
        check_documented(str(arguments[0]), result.stdout)
    return result.exit_code, result.stdout, result.exception


def test_verify_says_that_all_is_well(tmp_path: Path) -> None:
    path, _ = write_drop(tmp_path, export("interactionId"), ROWS)

    code, text, _ = run("verify", path)

    assert (code, text.partition(": ")[2].partition(":")[0]) == (0, "as its manifest says")


def test_verify_exits_with_1_and_says_what_is_wrong(tmp_path: Path) -> None:
    path, _ = write_drop(tmp_path, export("interactionId"), ROWS)
    path.write_bytes(b"interactionId\n")

    code, text, _ = run("verify", path, "--json")

    told = json.loads(text)
    assert (code, told["well"]) == (1, False)
    assert [one["check"] for one in told["findings"]] == ["bytes", "SHA-256", "rows"]


def test_validate_warns_of_keys_of_deletions_that_are_empty_in_every_line(project: Path) -> None:
    exports = "entity: x\ndatabase: shop\nevent: DELETED\n"
    schedule = 'schedule: {at: "02:30", time_zone: Europe/Brussels}\n'
    for file in (project / "exports").glob("*-deleted.yaml"):
        file.unlink()
    (project / "exports" / "a.yaml").write_text(
        f"export: del-a\ntype: profile-changes\n{exports}{schedule}"
    )
    (project / "exports" / "b.yaml").write_text(
        f"export: del-b\ntype: interaction-changes\ntable: purchases\n{exports}{schedule}"
    )
    settings = project / "deltadrop.yaml"
    assert "is empty in every line" not in run("validate", "--config", settings, "--json")[1]
    for name, attribute in (("shop", "customerId"), ("purchases", "purchaseNumber")):
        table = project / "tables" / f"{name}.yaml"
        plain = f"name: {attribute}, type: string"
        table.write_text(table.read_text().replace(plain, f"{plain}, personal: true"))

    code, text, _ = run("validate", "--config", settings, "--json")

    empty = [line for line in json.loads(text)["warnings"] if "is empty in every line" in line]
    assert code == 0
    assert [line.split(" is empty")[0] for line in empty] == [
        "export 'del-a': column 'customerId'",
        "export 'del-b': column 'purchaseNumber'",
    ]


def test_verify_of_a_missing_file_is_an_error(tmp_path: Path) -> None:
    _, _, error = run("verify", tmp_path / "a.csv")

    assert isinstance(error, WrongInputError)


def test_validate_counts_what_is_right(project: Path) -> None:
    code, text, _ = run("validate", "--config", project / "deltadrop.yaml")

    assert code == 0
    assert text.startswith(
        "all is well: 1 database, 3 custom tables, 21 exports (calls-downloaded, "
    )


def test_validate_tells_of_tables_locations_and_exports_at_once(project: Path) -> None:
    (project / "deltadrop.yaml").write_text("locations:\n  partner: {kind: stfp}\n")
    (project / "tables" / "wrong.yaml").write_text("table: wrong\nkid: repository\n")
    (project / "exports" / "wrong.yaml").write_text("export: wrong\nevnt: SENT\n")

    _, _, error = run("validate", "--config", project / "deltadrop.yaml")

    assert isinstance(error, DefinitionError)
    told = {fault.where.removeprefix(f"{project}/"): fault.what for fault in error.faults}
    assert told["deltadrop.yaml:2"] == "location 'partner': 'stfp' isn't a kind of location"
    assert told["tables/wrong.yaml:2"] == "field 'kid': unknown key"
    assert told["exports/wrong.yaml:2"] == "field 'evnt': unknown key"


def test_validate_warns_of_recipients_whom_nobody_sends_a_mail(project: Path) -> None:
    config = project / "deltadrop.yaml"
    for file in (project / "exports").iterdir():
        if file.stem not in ("emails-sent", "emails-bounces", "stores"):
            file.unlink()

    told = CliRunner().invoke(app, ["validate", "--config", str(config)])
    _, as_json, _ = run("validate", "--config", config, "--json")

    warning = (
        f"{config}: field 'mail.host': is missing, so the recipients of 'emails-bounces', "
        "'emails-sent' get no mail; set it, or remove their recipients"
    )
    assert (told.exit_code, told.stderr) == (0, f"warning: {warning}\n")
    assert json.loads(as_json)["warnings"] == [warning]

    config.write_text("root: var\nmail: {host: smtp.shop.example}\n")
    assert CliRunner().invoke(app, ["validate", "--config", str(config)]).stderr == ""


def test_validate_refuses_with_all_faults(project: Path) -> None:
    (project / "exports" / "wrong.yaml").write_text("export: wrong\n")

    _, _, error = run("validate", "--config", project / "deltadrop.yaml")
    code, text, _ = run("validate", "--config", project / "deltadrop.yaml", "--json")

    assert isinstance(error, DefinitionError)
    told = json.loads(text)
    assert (code, told["valid"], len(told["faults"])) == (2, False, 5)
    assert told["faults"][0]["where"].endswith("exports/wrong.yaml:1")
