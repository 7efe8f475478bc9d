"""Every kind of file that is stored has one class for its name, which parses what it formats."""

from __future__ import annotations

import ast
import datetime as dt
import importlib
import re
import string
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import PartitionError
from schemas.settings.settings import FOLDERS
from sinks.repair.leftovers import _SWEPT
from streams.storage.layout import CoveragePath, StreamFilePath, TopicPartition
from streams.storage.paths import NamePart, StoredPath, part_of

ROOT = Path(__file__).parents[2]
MODULES = sorted(path for name in ("streams", "sinks") for path in (ROOT / name).rglob("*.py"))
ANY = "[^/]+"
FEWEST = 20
"""Kinds that there are at least: a walk that finds fewer has not looked everywhere."""

topics = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=40)
texts_without_slash = topics | st.text(
    st.characters(exclude_characters="/", exclude_categories=("Cs",)), min_size=1, max_size=20
)
VALUES: dict[object, st.SearchStrategy[Any]] = {
    dt.date: st.dates(),
    dt.datetime: st.datetimes(dt.datetime(1000, 1, 1), timezones=st.just(dt.UTC)).map(
        lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    ),
    TopicPartition: st.builds(TopicPartition, topics, st.uuids(), st.integers(0, 999_999)),
}
"""Values of fields whose pattern allows more than there is (no 31st of February)."""


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def kinds() -> list[type[StoredPath]]:
    """All classes of names, found in all modules of the packages."""
    for path in MODULES:
        if "(StoredPath)" in path.read_text():
            importlib.import_module(module_of(path))
    # A dataclass with slots is made twice: the later is the one that its module has.
    found = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in StoredPath.__subclasses__()}
    return [found[name] for name in sorted(found)]


KINDS = kinds()
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__qualname__))


def test_every_folder_of_the_root_is_known_to_the_warning_of_open_ones() -> None:
    assert {kind.top() for kind in KINDS} | {"scratch"} == set(FOLDERS)


def paths(kind: type[StoredPath]) -> st.SearchStrategy[StoredPath]:
    hints = get_type_hints(kind)
    return st.builds(kind, *(_values(hints[name], part) for name, part in part_of(kind).items()))


def _values(hint: object, part: NamePart) -> st.SearchStrategy[Any]:
    if hint == dt.datetime | None:
        return st.none() | VALUES[dt.datetime]
    if hint in VALUES:
        return VALUES[hint]
    if part.pattern == ANY:
        return texts_without_slash
    return st.from_regex(part.pattern, fullmatch=True).map(part.parse)


def test_the_walk_finds_the_kinds_of_files() -> None:
    assert len(KINDS) >= FEWEST


@every_kind
@settings(deadline=None, max_examples=30)
@given(st.data())
def test_a_name_is_parsed_as_it_was_formatted(kind: type[StoredPath], data: st.DataObject) -> None:
    path = data.draw(paths(kind))

    assert kind.parse(str(path)) == path
    assert list(kind.among(["", str(path), f"{path}/x"])) == [path]


@every_kind
@settings(deadline=None, max_examples=10)
@given(st.data())
def test_a_name_is_of_one_kind_and_below_its_folder(
    kind: type[StoredPath], data: st.DataObject
) -> None:
    path = data.draw(paths(kind))
    values = [getattr(path, name) for name in part_of(kind)]

    assert [other for other in KINDS if other.match(str(path)) is not None] == [kind]
    for known in range(len(values) + 1):
        folder = kind.folder(*values[:known])
        assert str(path).startswith(f"{folder}/")
        assert not folder.endswith("/")


@every_kind
@settings(deadline=None, max_examples=10)
@given(st.data())
def test_other_names_are_refused_with_what_was_expected(
    kind: type[StoredPath], data: st.DataObject
) -> None:
    name = str(data.draw(paths(kind)))
    folder = name.rpartition("/")[0]

    for wrong in ("", folder, f"/{name}", f"{name}/", f"{name}\n", f"x{name}", f"{name}~x/y"):
        with pytest.raises(PartitionError) as refused:
            kind.parse(wrong)
        assert refused.value.what == f"{wrong!r} is not the name of {kind.WHAT}"
        assert refused.value.hint.startswith(f"expected {kind.TEMPLATE.partition('{')[0]}")
    assert kind.match(f"{folder}/.aside-0123456789abcdef") is None, "a file that isn't whole"


def numbers_of(kind: type[StoredPath]) -> list[str]:
    """The fields that are zero-padded numbers."""
    return [name for name, part in part_of(kind).items() if part.spec != "s"]


NUMBERED = [kind for kind in KINDS if numbers_of(kind)]


@pytest.mark.parametrize("kind", NUMBERED, ids=lambda kind: str(kind.__qualname__))
@settings(deadline=None, max_examples=10)
@given(st.data())
def test_the_order_of_names_is_the_order_of_numbers(
    kind: type[StoredPath], data: st.DataObject
) -> None:
    numbers, path = numbers_of(kind), data.draw(paths(kind))
    some = data.draw(st.lists(st.tuples(*(st.integers(0, 10**12 - 1) for _ in numbers))))
    siblings = [_with(path, dict(zip(numbers, values, strict=True))) for values in some]

    by_numbers = sorted(siblings, key=lambda one: [getattr(one, name) for name in numbers])
    assert [str(one) for one in by_numbers] == sorted(map(str, siblings))


def _with(path: StoredPath, values: dict[str, int]) -> StoredPath:
    kind = type(path)
    return kind(*(values.get(name, getattr(path, name)) for name in part_of(kind)))


def test_each_folder_of_the_root_is_on_the_page_for_operators() -> None:
    page = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"(?m)^\| `([a-z-]+)/", page))

    assert {kind.top().rstrip("/") for kind in KINDS} - listed == set()


def test_half_written_files_of_each_folder_are_swept() -> None:
    swept = {kind.top() for kind in _SWEPT} | {StreamFilePath.top(), CoveragePath.top()}

    assert {kind.top() for kind in KINDS} - swept == set()


def test_the_files_of_an_older_release_have_names_of_these_kinds() -> None:
    with tarfile.open(ROOT / "tests/fixtures/root-0.1/root.tar.gz") as archive:
        files = [member.name for member in archive if member.isfile()]
    folders = {kind.top() for kind in KINDS}
    stored = [
        name
        for name in (file.removeprefix("data/") for file in files)
        if name.partition("/")[0] in folders
    ]

    read = {name: [path for kind in KINDS if (path := kind.match(name))] for name in stored}
    assert len(stored) > 300
    assert [name for name, paths in read.items() if list(map(str, paths)) != [name]] == []


def texts(module: ast.Module) -> Iterator[ast.Constant]:
    """All texts of a module but those that explain."""
    docs = {node.value for node in ast.walk(module) if isinstance(node, ast.Expr)}
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docs:
            yield node


def listings(module: ast.Module) -> Iterator[ast.Constant]:
    """The texts by which a store is asked for names."""
    for node in ast.walk(module):
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Attribute) and called.attr in ("names", "leftovers"):
            yield from (text for text in node.args if isinstance(text, ast.Constant))


def test_no_other_module_joins_or_splits_such_a_name() -> None:
    """Whoever does has the name of its folder in a text; that has the module of the class alone."""
    owners: dict[str, set[str]] = {}
    for kind in KINDS:
        owners.setdefault(kind.top(), set()).add(kind.__module__)
    strangers = []
    for path in MODULES:
        module, tree = module_of(path), ast.parse(path.read_text())
        written = [one for one in texts(tree) if "/" in str(one.value)]
        for text in [*written, *listings(tree)]:
            if module not in owners.get(str(text.value).partition("/")[0], {module}):
                strangers.append(f"{module}:{text.lineno}: {text.value!r}")
    assert strangers == []
