"""Streams of users: what a file may say, and one refusal with every fault."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from schemas.errors import DefinitionError
from schemas.events import Kind
from schemas.topics import Topic
from streams import definition
from streams.definition import user_streams
from streams.storage.stream import Stream

EMAIL = Topic(Kind.EMAIL_ACTIVITY, "shop")
PROFILE = Topic(Kind.PROFILE, "shop")
ADDED = Stream("added", PROFILE.name)


def load(folder: Path, *files: str) -> list[Stream]:
    for number, text in enumerate(files):
        (folder / f"{number}.yaml").write_text(text)
    return user_streams(folder, [EMAIL, PROFILE])[EMAIL.name]  # type: ignore[return-value]


def test_a_stream_of_event_types_and_sources(tmp_path: Path) -> None:
    (stream,) = load(
        tmp_path,
        """
        stream: shop.clicks
        topic: shop.email-activity
        event_types: [CLICKED]
        sources: [FORM, EXTERNAL]
        """,
    )

    assert stream == Stream(
        "shop.clicks", EMAIL.name, frozenset({"CLICKED"}), frozenset({"FORM", "API", "ETL"})
    )


def test_a_folder_that_isnt_there_has_no_streams(tmp_path: Path) -> None:
    assert user_streams(tmp_path / "none", [EMAIL]) == {EMAIL.name: []}


def test_every_fault_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as refusal:
        load(
            tmp_path,
            "stream: one\ntopic: shop.email-activities\n",
            "stream: shop.email-activity.OPENED\ntopic: shop.email-activity\n",
            "stream: two\ntopic: shop.profile\nevent_types: [OPENED]\n",
            "stream: two\ntopic: shop.profile\n",
        )

    lines = [line.removeprefix(f"{tmp_path}/") for line in str(refusal.value).splitlines()]
    assert lines == [
        "0.yaml:2: field 'topic': there is no topic 'shop.email-activities'; choose from"
        " shop.email-activity, shop.profile; nearest match 'shop.email-activity'",
        "2.yaml:3: field 'event_types': profile has no OPENED; choose from"
        " CREATED, UPDATED, SNAPSHOT, DELETED",
        "1.yaml:1: stream 'shop.email-activity.OPENED': the name is taken by a built-in stream",
        f"3.yaml:1: stream 'two': the name is taken by {tmp_path}/2.yaml:1",
    ]


def test_an_entry_point_adds_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("mine", f"{__name__}:ADDED", definition.ENTRY_POINTS)
    monkeypatch.setattr(EntryPoint, "load", lambda self: lambda: [ADDED])
    monkeypatch.setattr(definition, "entry_points", lambda group: [point])

    assert user_streams(tmp_path / "none", [EMAIL, PROFILE])[PROFILE.name] == [ADDED]


def test_an_entry_point_that_cant_be_loaded_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = EntryPoint("mine", "no.such.module:stream", definition.ENTRY_POINTS)
    monkeypatch.setattr(definition, "entry_points", lambda group: [point])

    with pytest.raises(DefinitionError, match=r"entry point 'mine' .* can't be loaded: Module"):
        user_streams(tmp_path / "none", [EMAIL])
