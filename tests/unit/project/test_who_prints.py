"""Everything is printed by one module, which escapes what isn't ours."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[3]
PRINTERS = {"print", "echo", "secho", "Console"}
BESIDE = {
    "producers/cli.py": "a progress bar, of numbers",
    "sinks/commands/exports.py": "a summary in columns; its cells are escaped",
    "sinks/commands/init_export.py": "questions in colours; what is quoted is escaped",
}
"""What prints by itself, and what."""


def name_of_call(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_what_is_shown_to_people_is_printed_by_one_module() -> None:
    packages = ("schemas", "producers", "streams", "sinks")
    modules = [path for name in packages for path in (ROOT / name).rglob("*.py")]
    found = {
        str(path.relative_to(ROOT))
        for path in [*modules, ROOT / "deltadrop.py"]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and name_of_call(node) in PRINTERS
    }
    assert found == set(BESIDE)
