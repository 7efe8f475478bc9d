"""What is stored is read and written through the store: no other module opens its files.

A module that opens any file at all is listed here with its reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

PACKAGED = "data that comes with a package"
DEFINITIONS = "settings, definitions and schemas: files of people"
DELIVERY = "a drop on its way, the transferbox, locks of this machine"
ENGINE = "an engine's: it opens the paths that `Store.local` gives"
MEMORY = "Parquet in memory: the store reads and writes its bytes"
SCRATCH = "what a run makes on its way, and removes"
DISK = "looks at the disk only"

OPENERS = {
    "sinks/authoring/draft.py": DEFINITIONS,
    "sinks/closing/append_times.py": ENGINE,
    "sinks/closing/drop.py": DELIVERY,
    "sinks/closing/deliveries.py": DELIVERY,
    "sinks/closing/reading.py": SCRATCH,
    "sinks/commands/exports.py": DEFINITIONS,
    "sinks/commands/init_export.py": DEFINITIONS,
    "sinks/drops/verify.py": "a drop that a partner checks",
    "sinks/engine/duckdb/engine.py": SCRATCH,
    "sinks/engine/duckdb/ordered.py": SCRATCH,
    "sinks/engine/duckdb/small.py": ENGINE,
    "sinks/engine/event_source.py": SCRATCH,
    "sinks/erasure/affected_drops.py": ENGINE,
    "sinks/erasure/progress.py": MEMORY,
    "sinks/locations/ftps/session.py": DELIVERY,
    "sinks/locations/local.py": DELIVERY,
    "sinks/locations/remote.py": DELIVERY,
    "sinks/locations/rename_note.py": DELIVERY,
    "sinks/locations/s3/location.py": DELIVERY,
    "sinks/locations/s3/parts.py": DELIVERY,
    "sinks/locations/s3/stored.py": DELIVERY,
    "sinks/locations/sftp/session.py": DELIVERY,
    "sinks/locations/transferbox/location.py": DELIVERY,
    "sinks/night/observing.py": "metrics for node_exporter, outside of the root",
    "sinks/night/reload.py": DEFINITIONS,
    "sinks/service/status.py": DISK,
    "sinks/rendering/zones.py": PACKAGED,
    "sinks/repair/leftovers.py": SCRATCH,
    "sinks/repair/own_files.py": DELIVERY,
    "sinks/repair/retention.py": DELIVERY,
    "sinks/scratch.py": SCRATCH,
    "sinks/tracing/finding.py": ENGINE,
    "streams/definition.py": DEFINITIONS,
    "streams/erasure/tombstones.py": MEMORY,
    "streams/recovery/unreadable.py": ENGINE,
    "streams/storage/folder.py": "the store in a folder",
    "streams/storage/parquet.py": ENGINE,
    "streams/worker.py": SCRATCH,
}
"""Modules of streams and sinks that may open files, and why."""

OF_PATHS = {
    "chmod",
    "exists",
    "glob",
    "hardlink_to",
    "is_dir",
    "is_file",
    "iterdir",
    "lstat",
    "mkdir",
    "open",
    "read_bytes",
    "read_text",
    "rename",
    "rglob",
    "rmdir",
    "stat",
    "symlink_to",
    "touch",
    "unlink",
    "write_bytes",
    "write_text",
}
OF_MODULES = {
    "os": {"link", "listdir", "makedirs", "mkdir", "open", "remove", "rename", "replace"}
    | {"rmdir", "scandir", "stat", "symlink", "truncate", "unlink", "walk"},
    "pq": {"ParquetDataset", "ParquetFile", "read_metadata", "read_schema", "read_table"}
    | {"write_table"},
    "shutil": {"copy", "copy2", "copyfile", "copyfileobj", "copytree", "disk_usage", "move"}
    | {"rmtree"},
    "tempfile": {"NamedTemporaryFile", "TemporaryDirectory", "TemporaryFile", "mkdtemp"},
}
BARE = {"open", *OF_MODULES["tempfile"]}
NO_PATHS = {"store", "_store", "session", "client", "_opener"}
"""What has methods of the same names: stores, and connections."""


def opened(module: ast.Module) -> Iterator[str]:
    """The calls of a module that open, list, change or look at files."""
    for node in ast.walk(module):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id in BARE:
            yield f"{node.lineno}: {called.id}"
        elif isinstance(called, ast.Attribute) and _is_of_files(called):
            yield f"{node.lineno}: {ast.unparse(called)}"


def _is_of_files(called: ast.Attribute) -> bool:
    owner = _last_name(called.value)
    if owner in OF_MODULES:
        return called.attr in OF_MODULES[owner]
    return called.attr in OF_PATHS and owner not in NO_PATHS


def _last_name(node: ast.expr) -> str:
    match node:
        case ast.Call():
            return _last_name(node.func)
        case ast.Attribute():
            return node.attr
        case ast.Name():
            return node.id
        case _:
            return ""


FOUND = {
    str(path.relative_to(ROOT)): list(opened(ast.parse(path.read_text())))
    for package in ("streams", "sinks")
    for path in sorted((ROOT / package).rglob("*.py"))
}


def test_only_the_listed_modules_open_files() -> None:
    assert {name: calls for name, calls in FOUND.items() if calls and name not in OPENERS} == {}


@pytest.mark.parametrize("name", OPENERS)
def test_a_listed_module_opens_files(name: str) -> None:
    assert FOUND.get(name), f"take {name} off the list: it opens none"


@pytest.mark.parametrize(
    "text",
    [
        "open('x')",
        "path.open()",
        "(folder / 'x').read_bytes()",
        "self._root.joinpath('x').unlink()",
        "pq.ParquetFile(path)",
        "os.scandir(root)",
        "shutil.rmtree(root)",
        "TemporaryDirectory()",
        "FolderStore(root).root.iterdir()",
    ],
)
def test_a_call_that_opens_a_file_is_seen(text: str) -> None:
    assert len(list(opened(ast.parse(text)))) == 1


@pytest.mark.parametrize("text", ["store.stat(n)", "self._store.read(n)", "os.getpid()", "x.get()"])
def test_other_calls_are_none(text: str) -> None:
    assert list(opened(ast.parse(text))) == []
