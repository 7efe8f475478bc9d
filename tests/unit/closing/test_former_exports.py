"""What is open of an export that isn't defined any more is shown, with what settles it."""

from pathlib import Path

import pytest

from schemas.errors import CloseError, HeldError, WrongInputError
from schemas.events import Kind
from sinks.commands import status as status_command
from sinks.commands.status_text import status_text
from sinks.repair.release import Releaser
from sinks.service.status import status_of
from sinks.setup import Sinks
from tests.shop.offline import OfflineShop, at, with_exports
from tests.shop.partner import PARTNER, delivering, opened_again
from tests.shop.planted import delete

CLOSED, STAMP, MORNING = at(6, 28), "20260328T060000.000Z", at(7, 28)


@pytest.fixture
def shop(tmp_path: Path) -> OfflineShop:
    """A profile in the window of two exports."""
    shop = OfflineShop(tmp_path, definitions=with_exports("profiles", "stores"))
    shop.tell(Kind.PROFILE, "CREATED", at(7), profileId=1)
    shop.tell(Kind.PROFILE, "CREATED", at(7), profileId=2)
    shop.store_all()
    return shop


@pytest.fixture
def held(shop: OfflineShop, monkeypatch: pytest.MonkeyPatch) -> OfflineShop:
    """The drop of `profiles` is held, and its definition is gone."""
    file = shop.folder / "exports/profiles.yaml"
    file.write_text(file.read_text() + "guard_rails: {rows_at_least: 3}\n")
    with pytest.raises(HeldError):
        shop.again().close("profiles", CLOSED)
    shop.close("stores", CLOSED)
    without = without_profiles(shop)
    monkeypatch.setattr(Sinks, "of", without.sinks_of)
    return without


def without_profiles(shop: OfflineShop) -> OfflineShop:
    (shop.folder / "exports/profiles.yaml").unlink()
    definitions = with_exports("stores")
    return OfflineShop(shop.folder, shop.log, None, shop.stored, definitions)


def test_status_tells_a_held_drop_and_how_it_is_released(held: OfflineShop) -> None:
    status = status_of(held.sinks.installation, MORNING)

    (told,) = status.undefined
    assert (told.export, told.drop, told.revision) == ("profiles", f"profiles@{STAMP}", 0)
    assert told.what == f"profiles@{STAMP} is held: 2 rows, at least 3 are expected"
    assert f"deltadrop release profiles --close {STAMP} --reason" in told.hint
    assert status.to_json()["undefined"][0]["drop"] == told.drop
    lines = status_text(status, MORNING).splitlines()
    assert lines[0].endswith("1 export, nothing is due, 1 drop of former exports to be settled")
    assert lines[3:7] == [
        "",
        "of exports that aren't defined any more:",
        told.what,
        f"→ {told.hint}",
    ]

    Releaser(held.sinks.reviser).release("profiles", CLOSED, "a holiday")
    assert status_of(held.sinks.installation, MORNING).undefined == ()


def test_status_tells_what_was_begun_until_a_sweep_has_finished_it(
    shop: OfflineShop, tmp_path: Path
) -> None:
    away = delivering(shop, tmp_path / PARTNER, refusals=1_000)
    with pytest.raises(CloseError):
        away.close("profiles", CLOSED)
    without = delivering(without_profiles(shop), tmp_path / PARTNER)

    (told,) = status_of(without.sinks.installation, MORNING).undefined
    assert told.what == f"profiles@{STAMP} was begun, and isn't finished yet"
    assert told.hint == "`deltadrop sweep` finishes it"

    without.sinks.sweeper.sweep()
    assert status_of(without.sinks.installation, MORNING).undefined == ()


def test_status_tells_a_revision_that_a_partner_doesnt_take(
    shop: OfflineShop, tmp_path: Path
) -> None:
    delivering(shop, tmp_path / PARTNER).close("profiles", CLOSED)
    delete(shop, 1, 31)
    shop.store_all()
    away = delivering(without_profiles(shop), tmp_path / PARTNER, refusals=1_000)
    away.sinks.eraser.run()

    (told,) = status_of(away.sinks.installation, MORNING).undefined
    assert (told.drop, told.revision) == (f"profiles@{STAMP}", 1)

    opened_again(away)
    away.sinks.sweeper.sweep()
    assert status_of(away.sinks.installation, MORNING).undefined == ()


@pytest.mark.parametrize("export", ["profiles", None])
def test_history_shows_its_closes(
    held: OfflineShop, capsys: pytest.CaptureFixture[str], export: str | None
) -> None:
    status_command.history(export, config=held.folder / "deltadrop.yaml")

    told = capsys.readouterr().out.splitlines()
    assert told[-2].startswith(f"profiles  {STAMP}  held, nothing sent  2 rows")
    assert told[-1] == "  held: 2 rows, at least 3 are expected"
    assert any(line.startswith("stores ") for line in told) == (export is None)


def test_history_refuses_an_export_that_never_was(held: OfflineShop) -> None:
    with pytest.raises(WrongInputError, match="there is no export 'profile'; choose from profiles"):
        status_command.history("profile", config=held.folder / "deltadrop.yaml")
