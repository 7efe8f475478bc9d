"""The process of a command ends with its exit code, whatever libraries' threads still do."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from typer import Typer

from deltadrop import COMMANDS
from tests.shop.commands import run_python

ROOT = Path(__file__).parents[3]
TORN_DOWN = """
import atexit, os, sys
import deltadrop
atexit.register(os.abort)  # as a thread of a pool does now and then
sys.argv = ["deltadrop", *sys.argv[1:]]
deltadrop.program()
"""


def ended(folder: Path, *arguments: str, stdout: int = subprocess.PIPE) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", TORN_DOWN, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_its_exit_code_stands_once_it_is_done(tmp_path: Path) -> None:
    code, told, trouble = ended(tmp_path, "--help")

    assert (code, trouble) == (0, "")
    assert "check-location" in told


def test_help_lists_each_command_with_the_first_sentence_of_its_own() -> None:
    for name, (place, summary) in COMMANDS.items():
        module, function = place.split(":")
        command = getattr(import_module(module), function)
        text = command.info.help if isinstance(command, Typer) else inspect.getdoc(command)
        assert " ".join(text.split("\n\n")[0].split()) == summary, name


def test_help_imports_no_command(tmp_path: Path) -> None:
    code = "import deltadrop, sys; sys.argv = ['deltadrop', '--help']\ntry: deltadrop.main()\n"
    code += "finally: print([m for m in sys.modules if m in {'numpy', 'pydantic', 'kafka'}])"
    done = run_python(code, tmp_path)
    assert "check-location" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["close", "--nonsense"], 2, "--nonsense"),
        (["validate", "--config", "none.yaml"], 2, "none.yaml"),
    ],
)
def test_a_refusal_keeps_its_exit_code_and_message(
    tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    found, _, trouble = ended(tmp_path, *arguments)

    assert found == code
    assert said in trouble
    assert "Traceback" not in trouble


def test_what_nobody_reads_is_no_success(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        code, _, trouble = ended(tmp_path, "--help", stdout=write)
    finally:
        os.close(write)

    assert code == 1
    assert "Traceback" not in trouble


def test_what_a_library_says_of_its_own_pace_is_not_shown() -> None:
    code = (
        "import inspect, schemas.logs; schemas.logs.configure_logs()\n"
        "from kafka.net import selector\n"
        "selector.log.warning(inspect.getsource(selector).split('Task %r ran')[1][:200])\n"
        "selector.log.warning('Error reading wakeup socket')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "Error reading wakeup socket" in done.stderr
    assert "threshold" not in done.stderr, "the library's own words, whatever release it is"


HEAVY = {
    *("numpy", "pyarrow", "pandas", "ibis", "duckdb", "fastavro"),
    *("faust", "aiokafka", "confluent_kafka", "authlib"),
    *("boto3", "botocore", "paramiko", "pycurl", "aiosmtplib", "httpx", "rich"),
}
"""Libraries that take long to import, or hold much memory, and that looking needs none of."""

RUN = """
import sys, deltadrop
sys.argv = ["deltadrop", *sys.argv[1:]]
try: deltadrop.main()
except SystemExit as left: assert not left.code, left
"""
STATUS = """
from schemas.logs import configure_logs
configure_logs()  # as the program begins
import sys, datetime as dt
from dataclasses import replace
from pathlib import Path
from schemas.errors import DeltadropError
from schemas.settings.settings import load_settings
from sinks.commands import status, status_text
from sinks.installation import Installation
from sinks.service.status import status_of

def nobody():
    assert installation.ask().offsets
    raise DeltadropError("nobody answers")

installation = Installation.of(load_settings(Path(sys.argv[-1])))
now = dt.datetime(2026, 3, 3, tzinfo=dt.UTC)
found = status_of(replace(installation, ask=nobody), now)
print(status_text.status_text(found, now, all_partitions=True))
"""
"""`status`, without the half minute that it waits for a Kafka that doesn't answer."""


@pytest.mark.parametrize(
    ("code", "command", "heavy"),
    [
        (RUN, "validate", {*HEAVY, "kafka"}),
        (RUN, "history", {*HEAVY, "kafka"}),
        (STATUS, "status", HEAVY),
    ],
    ids=["validate", "history", "status"],
)
def test_commands_that_only_look_import_nothing_heavy(
    tmp_path: Path, code: str, command: str, heavy: set[str]
) -> None:
    for kind in ("tables", "exports"):
        shutil.copytree(ROOT / "deploy" / "demo" / kind, tmp_path / kind)
    (tmp_path / "deltadrop.yaml").write_text("root: .\n")
    done = subprocess.run(
        [
            *(sys.executable, "-c", f"{code}\nprint('imported', *sorted(sys.modules))"),
            *(command, "--config", str(tmp_path / "deltadrop.yaml")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    imported = done.stdout.splitlines()[-1].split()
    assert "sinks.exports.definition" in imported
    assert heavy & {*imported} == set()
