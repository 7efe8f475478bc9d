"""What a mended rule changes: a close keeps the rules that it was decided by, a redrop goes by
today's, as a revision that names them.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import CloseError
from schemas.events import Kind
from sinks.commands import redrop as redrop_command
from sinks.editions import (
    EDITION,
    FIRST_EDITION,
    LATEST_DELETIONS,
    UPDATES_AT_CREATION,
    WAITED_ARE_LATE,
)
from sinks.ledger.intent import Intent
from sinks.repair.redrop import Redrop, Redropper
from sinks.setup import Sinks
from streams.storage.checked import checked, with_checksum
from tests.shop.commands import exit_code_of
from tests.shop.offline import OfflineShop, at, with_exports

LATER = at(6, 28)
"""A close whose window has an UPDATED at the moment of a creation in an earlier window."""
SENTENCE = "UPDATED at the creation's moment counts in a later window (SPEC §3, Rows)"
FILE = "profiles_20260328_0600"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OfflineShop:
    """Closed twice by a release of the first edition."""
    shop = OfflineShop(tmp_path / "shop", definitions=with_exports("profiles"))
    for number in (1, 2):
        shop.tell(Kind.PROFILE, "CREATED", at(2), profileId=number)
    shop.tell(Kind.PROFILE, "UPDATED", at(7), at(2), profileId=1)
    shop.tell(Kind.PROFILE, "UPDATED", at(8), profileId=2)
    shop.store_all()
    with monkeypatch.context() as older:
        older.setattr("sinks.closing.intent.Intent", partial(Intent, edition=FIRST_EDITION))
        shop.close("profiles", at(6))
        shop.close("profiles", LATER)
    return shop


def redrop(shop: OfflineShop, reason: str = "") -> Redrop:
    return Redropper(shop.sinks.reviser).redrop("profiles", LATER, reason)


def manifest(shop: OfflineShop, file: str) -> dict[str, Any]:
    text = (shop.transferbox / "profiles" / f"{file}.csv.manifest.json").read_text()
    return dict(json.loads(text))


def ids(shop: OfflineShop, file: str) -> list[str]:
    lines = (shop.transferbox / "profiles" / f"{file}.csv").read_text().splitlines()
    return [line.split(",")[0] for line in lines[1:]]


def test_an_intent_without_an_edition_is_of_the_first() -> None:
    intent = Intent("profiles", LATER, at(6), None, {}, {}, (), {}, edition=FIRST_EDITION)
    assert "edition" not in json.loads(intent.to_json())
    assert Intent.from_json("profiles", LATER, intent.to_json()) == intent
    today = Intent("profiles", LATER, at(6), None, {}, {}, (), {})
    assert json.loads(today.to_json())["edition"] == EDITION
    assert Intent.from_json("profiles", LATER, today.to_json()) == today


def test_an_intent_without_bytes_of_a_block_has_no_limit_for_them() -> None:
    old = Intent("profiles", LATER, at(6), None, {}, {}, (), {}, block_bytes=None)
    assert "block_bytes" not in json.loads(old.to_json())
    assert Intent.from_json("profiles", LATER, old.to_json()) == old
    assert json.loads(replace(old, block_bytes=64).to_json())["block_bytes"] == 64


def test_a_redrop_that_a_mended_rule_changes_is_a_revision_that_names_it(
    shop: OfflineShop,
) -> None:
    assert ids(shop, FILE) == ["2"]

    done = redrop(shop)

    assert (done.revision, done.reason) == (1, f"made again by a mended rule: {SENTENCE}")
    revised = manifest(shop, f"{FILE}-r1")
    assert revised["reason"] == done.reason
    assert ids(shop, f"{FILE}-r1") == ["1", "2"]
    counted = {label: n for label, n in revised["balance"]["outcomes"].items() if n}
    assert (revised["balance"]["input"], counted) == (2, {"exported": 2})
    assert redrop(shop).revision == 0, "made again, it has the same bytes"


def test_the_command_tells_the_rule(
    shop: OfflineShop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Sinks, "of", shop.sinks_of)
    config = shop.folder / "deltadrop.yaml"
    close = "20260328T060000.000Z"

    assert exit_code_of(lambda: redrop_command.redrop("profiles", close=close, config=config)) == 0

    assert f"  revision -r1: made again by a mended rule: {SENTENCE}\n" in capsys.readouterr().out


def test_a_persons_reason_stands_beside_the_rules(shop: OfflineShop) -> None:
    assert redrop(shop, "asked for").reason == (
        f"asked for; made again by a mended rule: {SENTENCE}"
    )


def test_a_close_that_an_older_release_began_is_finished_with_the_bytes_that_it_decided(
    shop: OfflineShop,
) -> None:
    before = {file.name: file.read_bytes() for file in (shop.transferbox / "profiles").iterdir()}
    (shop.root / "ledger/exports/profiles/20260328T060000.000Z/outcome.json").unlink()

    shop.again().close("profiles", LATER)

    after = {file.name: file.read_bytes() for file in (shop.transferbox / "profiles").iterdir()}
    assert after == before


def test_what_no_mended_rule_changes_keeps_its_bytes_and_its_manifest(shop: OfflineShop) -> None:
    shop.tell(Kind.PROFILE, "UPDATED", at(7, 28), at(2), profileId=1)
    shop.tell(Kind.PROFILE, "UPDATED", at(8, 28), profileId=1)
    shop.store_all()
    with pytest.MonkeyPatch.context() as older:
        older.setattr("sinks.closing.intent.Intent", partial(Intent, edition=FIRST_EDITION))
        shop.close("profiles", at(6, 29))
    name = "profiles_20260329_0600"
    before = manifest(shop, name)
    (shop.transferbox / "profiles" / f"{name}.csv.manifest.json").unlink()

    done = Redropper(shop.sinks.reviser).redrop("profiles", at(6, 29))

    assert done.revision == 0
    assert before["balance"]["outcomes"]["filtered"] == 1, "by the edition of then"
    assert manifest(shop, name) == before


def test_a_revision_for_deleted_people_keeps_to_the_closes_own_rules(shop: OfflineShop) -> None:
    shop.tell(Kind.PROFILE, "DELETED", at(7, 28), profileId=2)
    shop.store_all()

    revised = shop.sinks.reviser.revise("profiles", LATER, "erased")

    assert revised is not None
    assert revised.reason == "erased"
    assert ids(shop, f"{FILE}-r1") == []
    assert redrop(shop).reason == f"made again by a mended rule: {SENTENCE}"
    assert ids(shop, f"{FILE}-r2") == ["1"]


def test_a_redrop_names_the_mended_rules_that_change_its_bytes_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = OfflineShop(tmp_path / "late", definitions=with_exports("profiles"))
    shop.tell(Kind.PROFILE, "CREATED", at(3), profileId=1)
    shop.tell(Kind.PROFILE, "DELETED", at(4), at(2), profileId=1)
    shop.store_all()
    with monkeypatch.context() as older:
        earlier = partial(Intent, edition=UPDATES_AT_CREATION.edition)
        older.setattr("sinks.closing.intent.Intent", earlier)
        shop.close("profiles", at(6))
    first = "profiles_20260327_0600"
    assert ids(shop, first) == [], "the deletion that was appended last counted"
    (shop.root / "ledger/exports/profiles/20260327T060000.000Z/outcome.json").unlink()
    shop.again().close("profiles", at(6))
    assert ids(shop, first) == [], "begun, it is finished by its own edition"

    done = Redropper(shop.sinks.reviser).redrop("profiles", at(6))

    assert done.reason == f"made again by a mended rule: {LATEST_DELETIONS}"
    assert ids(shop, f"{first}-r1") == ["1"]


def test_what_a_later_release_has_decided_is_refused_by_name(shop: OfflineShop) -> None:
    name = "ledger/exports/profiles/20260328T060000.000Z/intent.json"
    file = shop.root / name
    decided = {**json.loads(checked(name, file.read_bytes())), "edition": EDITION + 1}
    file.write_bytes(with_checksum(name, json.dumps(decided).encode()))

    with pytest.raises(CloseError) as refused:
        redrop(shop)

    assert f"edition {EDITION + 1} of the rules, this release knows {EDITION}" in str(refused.value)


def test_the_todays_edition_is_that_of_the_last_mended_rule() -> None:
    editions = [UPDATES_AT_CREATION.edition, LATEST_DELETIONS.edition, WAITED_ARE_LATE.edition]
    assert min(editions) > FIRST_EDITION
    assert max(editions) == EDITION


def test_a_compressed_drop_keeps_the_blocks_that_its_intent_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(name: str, block_bytes: int | None) -> tuple[OfflineShop, bytes]:
        definitions = with_exports("profiles")
        text = definitions["exports/profiles.yaml"] + "file: {compression: gzip}\n"
        definitions = {**definitions, "exports/profiles.yaml": text}
        shop = OfflineShop(tmp_path / name, definitions=definitions)
        for number in range(1, 6):
            shop.tell(Kind.PROFILE, "CREATED", at(2), profileId=number)
        shop.store_all()
        with monkeypatch.context() as other:
            limited = partial(Intent, block_bytes=block_bytes)
            other.setattr("sinks.closing.intent.Intent", limited)
            shop.close("profiles", at(6))
        (drop,) = (shop.transferbox / "profiles").glob("*.csv.gz")
        return shop, drop.read_bytes()

    shop, small = closed("small", 1)
    _, whole = closed("whole", None)
    assert gzip.decompress(small) == gzip.decompress(whole)
    assert small != whole
    (drop,) = (shop.transferbox / "profiles").glob("*.csv.gz")
    drop.unlink()

    done = Redropper(shop.again().sinks.reviser).redrop("profiles", at(6))

    assert (done.revision, drop.read_bytes()) == (0, small)
