"""The habits of the code that no linter checks: small modules, small functions, told in words."""

import ast
import importlib
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGES = ("schemas", "producers", "streams", "sinks", "deploy")
MODULES = sorted(
    [ROOT / "deltadrop.py", *(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))]
)
LONGEST_MODULE = 400
LONGEST_FUNCTION = 40
FEWEST_DOCSTRINGS = 0.8
SQL = re.compile(r"\b(SELECT|DESCRIBE|COPY|INSERT INTO|CREATE (TEMPORARY )?TABLE|read_parquet)\b")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def definitions(body: list[ast.stmt]) -> Iterator[Definition]:
    """Functions, classes and methods; not what a function holds inside."""
    for node in body:
        if isinstance(node, Definition):
            yield node
        if isinstance(node, ast.ClassDef):
            yield from definitions(node.body)


def lines_of(node: Definition) -> int:
    """Its length without decorators and docstring, which tell and don't do."""
    first, last = node.body[0], node.end_lineno or node.lineno
    told = 0
    if ast.get_docstring(node) is not None:
        told = (first.end_lineno or first.lineno) - first.lineno + 1
    return last - node.lineno + 1 - told


every_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


def test_there_are_modules_to_check() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in MODULES} == {*PACKAGES, "deltadrop.py"}


@every_module
def test_a_module_is_no_longer_than_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST_MODULE


@every_module
def test_a_function_is_no_longer_than_40_lines(path: Path) -> None:
    long = {
        f"{name_of(path)}:{node.lineno} {node.name}": lines_of(node)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, Function) and lines_of(node) > LONGEST_FUNCTION
    }
    assert long == {}


@every_module
def test_a_public_module_says_what_it_is(path: Path) -> None:
    if path.name.startswith("_") and path.name not in ("__init__.py", "__main__.py"):
        return
    told = ast.get_docstring(ast.parse(path.read_text()))
    assert told, f"{name_of(path)} has no docstring"


@pytest.mark.parametrize("package", PACKAGES)
def test_most_public_names_have_a_docstring(package: str) -> None:
    public = {
        f"{name_of(path)}:{node.lineno} {node.name}": ast.get_docstring(node) is not None
        for path in MODULES
        if path.relative_to(ROOT).parts[0] == package
        for node in definitions(ast.parse(path.read_text()).body)
        if not node.name.startswith("_")
    }
    untold = [name for name, told in public.items() if not told]
    assert len(untold) <= (1 - FEWEST_DOCSTRINGS) * len(public), untold


def test_no_public_class_has_the_name_of_another() -> None:
    places = defaultdict(list)
    for path in (one for one in MODULES if not name_of(one).startswith("deploy/")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(name_of(path))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


KNOW_EVERY_KAFKA_ERROR = {
    "producers/connection.py": "as those of publishing",
    "schemas/settings/kafka_access.py": "a default stands in for what Kafka doesn't say",
    "schemas/settings/reachable.py": "kafka-python's as ours, for every package",
    "streams/reading/faust_transport.py": "a topic that is new is asked again",
    "streams/reading/kafka_access.py": "aiokafka's as ours",
}
"""What each does with the base of Kafka's errors; others may know single ones, to act on them."""


def test_kafkas_errors_are_translated_in_one_place_of_a_package() -> None:
    importers = {
        name_of(path)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").partition(".")[0] in ("kafka", "aiokafka", "confluent_kafka")
        and {"KafkaError", "KafkaException", "errors"} & {name.name for name in node.names}
    }
    assert importers == set(KNOW_EVERY_KAFKA_ERROR)


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_imports_the_command_line(package: str) -> None:
    importers = [
        name_of(path)
        for path in MODULES
        if path.relative_to(ROOT).parts[0] == package
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.ImportFrom) and node.module == "deltadrop")
        or (isinstance(node, ast.Import) and any(name.name == "deltadrop" for name in node.names))
    ]
    assert importers == []


def sql_texts(path: Path) -> list[str]:
    return [
        f"{name_of(path)}:{node.lineno}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.search(node.value)
    ]


def test_no_sql_stands_outside_of_its_engine() -> None:
    engines = ROOT / "sinks/engine/duckdb"
    assert sql_texts(engines / "sql.py"), "there it is"
    outside = [path for path in MODULES if not path.is_relative_to(engines)]
    assert [place for path in outside for place in sql_texts(path)] == []


def exported(path: Path) -> list[str] | None:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets
        ):
            return list(ast.literal_eval(node.value))
    return None


@pytest.mark.parametrize(
    "path", [path for path in MODULES if exported(path) is not None], ids=name_of
)
def test_all_names_what_the_module_has_and_once(path: Path) -> None:
    names = exported(path) or []
    assert len(names) == len(set(names))
    dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    module = importlib.import_module(dotted)
    assert [name for name in names if not hasattr(module, name)] == []
