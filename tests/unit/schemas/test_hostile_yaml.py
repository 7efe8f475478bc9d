"""What a definition's or the settings' file may hold: one clear refusal with its line, whatever it
is, at a bounded cost.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.definitions.documents import MAX_BYTES, MAX_DEPTH, MAX_VALUES
from schemas.errors import DefinitionError
from schemas.settings.settings import load_settings
from schemas.tables import load_catalog
from tests.shop.commands import exit_code_of

TABLE = "database: shop\nattributes:\n- {name: city, type: string}\n"
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)
DEEP_ALIASES = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 500))
TOO_DEEP = f"values lie more than {MAX_DEPTH} deep within each other"

REFUSED = {
    "nested lists": (TABLE + "x: " + "[" * 20_000, f"4: {TOO_DEEP}"),
    "nested mappings": (TABLE + "x: " + "{a: " * 20_000, f"4: {TOO_DEEP}"),
    "nested by indentation": (
        "".join("  " * n + "a:\n" for n in range(300)),
        f"{MAX_DEPTH}: {TOO_DEEP}",
    ),
    "nested by aliases": (DEEP_ALIASES, f"1: {TOO_DEEP}"),
    "laughs": (LAUGHS, f"1: more than {MAX_VALUES} values, with what aliases stand for"),
    "an alias to itself": ("a: &a [*a]\n", "1: an alias to a value that holds it"),
    "too long": ("# " + "x" * MAX_BYTES, f" has more than {MAX_BYTES} bytes"),
    "a merge key": (TABLE + "x: &x {a: b}\ny: {<<: *x}\n", "5: a merge key, '<<'"),
    "a mapping's tag": ("!!python/object:os.X {a: b}\n", "1: a tag, '!!python/object:os.X'"),
    "a list's tag": ("database: !!set [a]\n", "1: a tag, '!!set'"),
    "a text's tag": ("a: b\ndatabase: !!python/name:os.system x\n", "2: a tag, '!!python/name:"),
    "a tag of one's own": ("database: !secret x\n", "1: a tag, '!secret'"),
    "bytes": ("database: !!binary aGk=\n", "1: a tag, '!!binary'"),
    "an equals sign": ("database: =\n", "1: '=' can't be read; put text in quotes"),
    "keys that are there twice": ("a: 1\nb: 2\na: 3\n", "3: field 'a': is there twice"),
    "a tab": ("a:\n\tb: c\n", "2: a tab in the indentation"),
    "NUL": ("a: b\nc: d\0\n", "2: a character that YAML doesn't allow (U+0000); remove it"),
    "no UTF-8": (b"a: b\nc: \xff\n", "2: isn't UTF-8 (byte 8); save it as UTF-8"),
    "UTF-16": ("a: b\n".encode("utf-16"), "1: isn't UTF-8 (byte 0); save it as UTF-8"),
    "a key that is a list": ("? [a]\n: b\n", "1: a key that isn't a name"),
    "an unknown alias": ("a: *b\n", "1: isn't YAML: found undefined alias"),
}


def _settings(file: Path) -> None:
    load_settings(file)


def _tables(file: Path) -> None:
    load_catalog(file.parent)


@pytest.mark.parametrize("read", [_settings, _tables])
@pytest.mark.parametrize("case", REFUSED)
def test_what_isnt_plain_is_refused_with_its_line(
    case: str, read: Callable[[Path], None], tmp_path: Path
) -> None:
    text, told = REFUSED[case]
    file = tmp_path / "shop.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    begun = time.process_time()
    with pytest.raises(DefinitionError) as refused:
        read(file)
    assert str(refused.value.faults[0]).removeprefix(str(file)).lstrip(":").startswith(told)
    assert len(refused.value.faults) == 1
    assert time.process_time() - begun < 30  # some of them would take for ever


def test_a_hundred_megabytes_arent_read(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    with file.open("wb") as sparse:
        sparse.truncate(100_000_000)
    with pytest.raises(DefinitionError, match=f"has more than {MAX_BYTES} bytes"):
        load_catalog(tmp_path)


@pytest.mark.parametrize("read", [_settings, _tables])
def test_what_is_no_file_is_refused(read: Callable[[Path], None], tmp_path: Path) -> None:
    pipe = tmp_path / "shop.yaml"
    os.mkfifo(pipe)
    with pytest.raises(DefinitionError, match=r"shop\.yaml: is no ordinary file"):
        read(pipe)
    pipe.unlink()
    pipe.symlink_to(tmp_path / "nowhere")
    with pytest.raises(DefinitionError, match=r"shop\.yaml: is a link to what isn't there"):
        read(pipe)


def test_settings_that_are_a_link_to_nothing_arent_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DELTADROP_CONFIG", raising=False)
    (tmp_path / "deltadrop.yaml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DefinitionError, match=r"deltadrop.yaml: is a link to what isn't there"):
        load_settings()


def test_the_command_exits_with_2(tmp_path: Path) -> None:
    file = tmp_path / "deltadrop.yaml"
    file.write_text("root: " + "[" * 20_000)
    assert exit_code_of(lambda: load_settings(file)) == 2


def test_an_alias_that_is_used_twice_is_read(tmp_path: Path) -> None:
    both = "- {name: city, type: &text string}\n- {name: street, type: *text}\n"
    (tmp_path / "shop.yaml").write_text(f"database: shop\nattributes:\n{both}")
    database = load_catalog(tmp_path).databases["shop"]
    assert [one.type for one in database.attributes] == ["string", "string"]
