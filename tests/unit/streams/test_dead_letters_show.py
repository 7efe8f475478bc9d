"""What a dead letter shows of itself: nothing personal, whatever is wrong with it (SPEC §5, §6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
import typer

from schemas.derive import avro_schema
from schemas.errors import DeltadropError
from schemas.events import Kind
from streams.dead_letters import cli as cli_dead_letters
from streams.dead_letters import service
from streams.dead_letters.read import Letter, Replay, identity_of
from streams.dead_letters.show import HIDDEN, Shown, Usable
from streams.writing.dead_letter_topic import Poison
from tests.shop.events import CATALOG, OneSchema, topic, written
from tests.shop.json_page import check_documented, documented

PERSONAL = "ann@shop.example"


def usable(kind: Kind) -> Usable:
    own = topic(kind)
    return Usable(OneSchema(avro_schema(own, CATALOG)), {own.name: own}, CATALOG)


def poison(kind: Kind, value: bytes | None, reason: str = "", key: bytes | None = b"33") -> Poison:
    return Poison(topic(kind).name, 0, 7, 1_774_576_800_000, key, value, reason)


def shown(kind: Kind, value: bytes | None, reason: str = "", key: bytes | None = b"33") -> Shown:
    return usable(kind).shown(poison(kind, value, reason, key))


def fields(found: Shown) -> Mapping[str, Any]:
    assert found.fields is not None
    return found.fields


def test_what_is_personal_is_there_without_its_value() -> None:
    value = written(Kind.EMAIL_ACTIVITY, "SENT", emailAddress=PERSONAL, abVersion="B")

    told = fields(shown(Kind.EMAIL_ACTIVITY, value))

    assert told["emailAddress"] == HIDDEN
    assert (told["abVersion"], told["interactionId"]) == ("B", 11)
    assert "subscription" not in told


def test_of_a_profile_only_the_attributes_that_arent_personal_are_shown() -> None:
    attributes = {"emailAddress": PERSONAL, "firstName": "Ann", "city": "Ghent"}
    value = written(Kind.PROFILE, "CREATED", attributes=attributes)

    told = fields(shown(Kind.PROFILE, value))

    assert told["attributes"] == {"emailAddress": HIDDEN, "firstName": HIDDEN, "city": "Ghent"}


def test_the_field_that_was_refused_is_not_shown_as_it_may_hold_anything() -> None:
    value = written(Kind.SUBSCRIPTION_UPDATE, "CHANGED", subscription=PERSONAL)
    (reason,) = (
        usable(Kind.SUBSCRIPTION_UPDATE).refused([poison(Kind.SUBSCRIPTION_UPDATE, value)]).values()
    )

    found = shown(Kind.SUBSCRIPTION_UPDATE, value, reason)

    assert "subscription" in reason
    assert fields(found)["subscription"] == HIDDEN
    assert PERSONAL not in str(found)


def test_each_field_that_breaks_a_rule_is_hidden_whichever_the_letter_names() -> None:
    value = written(Kind.SUBSCRIPTION_UPDATE, "CHANGED", subscription=PERSONAL)
    another = "database is 'other', not 'shop'"

    found = shown(Kind.SUBSCRIPTION_UPDATE, value, another)

    assert fields(found)["subscription"] == HIDDEN
    assert PERSONAL not in str(found)


def test_a_field_of_another_event_type_is_hidden_as_no_rule_looks_at_it() -> None:
    value = written(Kind.EMAIL_ACTIVITY, "SENT", clickedUrl=f"mailto:{PERSONAL}")

    found = shown(Kind.EMAIL_ACTIVITY, value)

    assert fields(found)["clickedUrl"] == HIDDEN
    assert fields(found)["interactionId"] == 11


@pytest.mark.parametrize(
    "value", [PERSONAL.encode() * 9, b"\0\0\0\0\1" + PERSONAL.encode(), b"", None], ids=str
)
def test_bytes_that_cant_be_decoded_show_length_and_hash_alone(value: bytes | None) -> None:
    found = shown(Kind.PROFILE, value, "cut short")

    assert found.fields is None
    assert (found.size, len(found.sha256)) == (len(value or b""), 64)
    assert PERSONAL not in str(found)


@pytest.mark.parametrize("key", [PERSONAL.encode(), None, b"", b"\xff"], ids=str)
def test_a_key_that_is_no_id_is_not_shown(key: bytes | None) -> None:
    assert shown(Kind.PROFILE, None, key=key).key is None
    assert shown(Kind.PROFILE, None, key=b"33").key == "33"


def test_what_would_be_refused_again_is_told_with_its_reason() -> None:
    good = written(Kind.PROFILE, "CREATED")
    own = usable(Kind.PROFILE)
    events = [
        poison(Kind.PROFILE, good),
        poison(Kind.PROFILE, b"\0nonsense"),
        poison(Kind.CAMPAIGN, good),
        poison(Kind.PROFILE, good, key=None),
    ]

    refused = own.refused(events)

    assert set(refused) == {1, 2, 3}
    assert refused[2] == "its topic is no longer defined"
    assert refused[3] == "null key"


class Topic:
    """The dead-letter topic's place is taken by a list."""

    def __init__(self, events: Iterable[Poison]) -> None:
        self.events = list(events)
        self.replay: Replay | None = None

    def letters(self) -> list[Letter]:
        return [
            Letter(*identity_of(one), one.reason, len(one.value or b""), self.replay)
            for one in self.events
        ]

    def whole(self, wanted: Any = None) -> Iterable[Poison]:
        return [one for one in self.events if wanted is None or identity_of(one) in wanted]


Run = Callable[..., Any]


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any) -> Topic:
    """Two dead letters of profiles, one of campaigns."""
    value = written(Kind.PROFILE, "CREATED", attributes={"firstName": PERSONAL})
    found = Topic(
        [
            poison(Kind.PROFILE, value, "field 'x': is missing"),
            Poison(
                topic(Kind.PROFILE).name, 0, 8, 1_774_663_200_000, b"1", b"nonsense", "no magic"
            ),
            poison(Kind.CAMPAIGN, b"nonsense", "no magic"),
        ]
    )
    folder = tmp_path_factory.mktemp("site")
    (folder / "deltadrop.yaml").write_text("root: data\ntables: /nowhere\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(cli_dead_letters.Streams, "of", lambda settings: _Site(settings))  # noqa: PLW0108
    monkeypatch.setattr(service, "_reader", lambda streams: found)
    monkeypatch.setattr(service, "_usable", lambda streams: usable(Kind.PROFILE))
    return found


class _Site:
    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.catalog = CATALOG
        self.topics = {topic(kind).name: topic(kind) for kind in (Kind.PROFILE, Kind.CAMPAIGN)}


def origins(capsys: pytest.CaptureFixture[str]) -> list[int]:
    told = documented("dead-letters list", capsys.readouterr().out)["dead_letters"]
    return [one["offset"] for one in told]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, [7, 8, 7]),
        ({"topic": "deltadrop.campaign"}, [7]),
        ({"day": "2026-03-28"}, [8]),
        ({"reason": "MAGIC"}, [8, 7]),
        ({"reason": "magic", "topic": "deltadrop.shop.profile"}, [8]),
    ],
    ids=str,
)
def test_dead_letters_are_listed_by_topic_day_and_reason(
    letters: Topic, capsys: pytest.CaptureFixture[str], flags: Any, expected: list[int]
) -> None:
    cli_dead_letters.list_letters(**flags, as_json=True)

    assert origins(capsys) == expected


def test_a_list_counts_by_topic_and_reason_and_marks_what_was_replayed(
    letters: Topic, capsys: pytest.CaptureFixture[str]
) -> None:
    letters.replay = Replay(1_774_670_000_000, 0, 99)

    cli_dead_letters.list_letters()

    told = capsys.readouterr().out
    assert "1 of deltadrop.shop.profile: no magic (1 replayed)" in told
    assert "deltadrop.shop.profile/0/8  2026-03-28T02:00:00.000+00:00" in told
    assert "replayed 2026-03-28T03:53:20.000+00:00" in told


def test_show_tells_the_fields_and_nothing_personal(
    letters: Topic, capsys: pytest.CaptureFixture[str]
) -> None:
    for as_json in (False, True):
        cli_dead_letters.show("deltadrop.shop.profile/0/7", as_json=as_json)
        told = capsys.readouterr().out
        if as_json:
            check_documented("dead-letters show", told)
        assert "profileId" in told
        assert HIDDEN in told
        assert PERSONAL not in told


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("list_letters", {"topic": "x"}, "--topic: there is no topic 'x'; choose from"),
        ("list_letters", {"day": "28/03"}, "--day: '28/03' isn't a day; write it as 2026-03-28"),
        ("show", {"origin": "nonsense"}, "ORIGIN: 'nonsense' isn't one; write it as"),
        ("replay", {}, "replay: says not which dead letters; name some, or filter by"),
        ("replay", {"everything": True, "day": "2026-03-28"}, "--all: stands beside a choice"),
        ("replay", {"origins": ["a/b"]}, "ORIGIN: 'a/b' isn't one; write it as"),
        ("replay", {"origins": ["a/0/1"]}, "a/0/1: there is no such dead letter; `dead-letters"),
    ],
    ids=str,
)
def test_a_wrong_flag_is_refused_with_what_would_be_right(
    letters: Topic, command: str, arguments: Any, message: str
) -> None:
    with pytest.raises(DeltadropError) as refused:
        getattr(cli_dead_letters, command)(**arguments)

    assert str(refused.value).startswith(message)
    assert refused.value.exit_code == 2


def test_a_dead_letter_that_isnt_there_exits_with_1(
    letters: Topic, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as left:
        cli_dead_letters.show("deltadrop.shop.profile/0/99")

    assert left.value.exit_code == 1
    assert "there is no dead letter deltadrop.shop.profile/0/99" in capsys.readouterr().err
