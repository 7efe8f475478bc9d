"""A held drop goes out when a person says why; what is lost goes only by their word, and is named
(SPEC §7).
"""

import gzip
import json
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import CloseError, HeldError, WrongInputError
from schemas.events import Kind
from sinks.commands import release as release_command
from sinks.commands import status as status_command
from sinks.commands.options import read_instant
from sinks.ledger.ledger import Ledger
from sinks.repair.release import Releaser
from sinks.service.status import status_of
from sinks.setup import Sinks
from sinks.status.exports import ExportStatus
from tests.shop.commands import exit_code_of
from tests.shop.json_page import documented
from tests.shop.killed import KilledError
from tests.shop.offline import OfflineShop, at, with_exports
from tests.shop.planted import BOB, delete, finds, live

HELD, NEXT = at(6, 28), at(6, 29)
CLOSE = "20260328T060000.000Z"


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> OfflineShop:
    """Ann and Bob were sent an e-mail, which is fewer than the guard rail expects."""
    definitions = with_exports("sent")
    definitions["exports/sent.yaml"] += "guard_rails: {rows_at_least: 3}\n"
    folder = tmp_path_factory.mktemp("held")
    (folder / "deltadrop.yaml").write_text(
        "root: data\nclose: {wait_seconds: 0.1, delay_seconds: 0}\n"
    )
    shop = OfflineShop(folder, definitions=definitions)
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    live(shop, 1, "ANN", 7)
    live(shop, BOB, "PLANTED", 8)
    shop.store_all()
    with pytest.raises(HeldError):
        shop.close("sent", HELD)
    return shop


@pytest.fixture
def shop(held: OfflineShop, tmp_path: Path) -> OfflineShop:
    """Its own copy."""
    return held.copied(tmp_path / "shop")


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the command on a shop; its exit code."""

    def run(shop: OfflineShop, close: str = CLOSE, reason: str = "a holiday", **more: Any) -> int:
        monkeypatch.setattr(Sinks, "of", shop.sinks_of)
        config = shop.folder / "deltadrop.yaml"
        export = more.pop("export", "sent")
        told = {"close": close, "reason": reason, "config": config, **more}
        return exit_code_of(partial(release_command.release, export, **told))

    return run


def manifest_of(shop: OfflineShop) -> dict[str, Any]:
    (file,) = shop.transferbox.rglob("*.manifest.json")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_it_goes_with_the_bytes_that_were_held_and_the_reason_is_in_manifest_and_ledger(
    shop: OfflineShop, release: Callable[..., int]
) -> None:
    assert release(shop) == 0

    record = shop.sinks.ledger.record_of("sent", HELD)
    assert record is not None
    held, released, outcome = record.held, record.release, record.outcome
    assert held is not None
    assert released is not None
    assert outcome is not None
    assert (outcome.sha256, outcome.rows) == (held.sha256, 2)
    assert released.reason == "a holiday"
    assert manifest_of(shop)["released"] == {
        "held_because": ["2 rows, at least 3 are expected"],
        "reason": "a holiday",
    }
    assert shop.drops()[0] == "sent_20260328_0600.csv.gz"


def kept_files(shop: OfflineShop) -> dict[str, bytes]:
    return {str(one): one.read_bytes() for one in shop.root.rglob("*") if one.is_file()}


def test_a_look_shows_its_lines_and_why_it_is_held_and_changes_nothing(
    shop: OfflineShop, release: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    before = kept_files(shop)

    assert release(shop, show=True, reason=None) == 0

    told = capsys.readouterr()
    assert told.err.splitlines() == [
        "2 of 2 lines of sent_20260328_0600.csv.gz; nothing is sent",
        "held: 2 rows, at least 3 are expected",
        f"→ to send it all the same: deltadrop release sent --close {CLOSE} --reason '…'",
    ]
    assert kept_files(shop) == before
    assert release(shop) == 0
    sent = gzip.decompress(next(shop.transferbox.rglob("*.csv.gz")).read_bytes()).decode()
    assert told.out == sent
    assert "PLANTED" in told.out


def test_a_look_shows_ten_lines_at_most(
    shop: OfflineShop, release: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    file = shop.folder / "exports/sent.yaml"
    file.write_text(file.read_text().replace("rows_at_least: 3", "rows_at_least: 99"))
    for number in range(12):
        shop.tell(
            Kind.EMAIL_ACTIVITY, "SENT", at(9, 28), interactionId=number, campaignId=22, profileId=1
        )
    shop.store_all()
    release(shop)
    many = shop.again()
    with pytest.raises(HeldError):
        many.close("sent", NEXT)
    capsys.readouterr()

    assert release(many, close="20260329T060000.000Z", show=True, as_json=True) == 0

    told = documented("release", capsys.readouterr().out)
    assert (told["shown"], told["lines"], told["held"]["rows"]) == (10, 12, 12)
    assert len(told["text"].splitlines()) == 11


def test_a_look_shows_nothing_of_who_was_deleted_since(
    shop: OfflineShop, release: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    delete(shop, BOB, 32)
    shop.store_all()

    assert release(shop, show=True) == 0

    shown = capsys.readouterr().out
    assert "ANN" in shown
    assert "PLANTED" not in shown


def test_there_is_nothing_to_look_at_in_what_was_sent(
    shop: OfflineShop, release: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    release(shop)
    capsys.readouterr()

    assert release(shop, show=True) == 1

    assert f"the drop of {CLOSE} was sent" in capsys.readouterr().out


def test_running_it_again_changes_nothing(
    shop: OfflineShop, release: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert release(shop) == 0
    first, told = manifest_of(shop), capsys.readouterr().out.splitlines()

    assert release(shop, reason="another one") == 0

    assert manifest_of(shop) == first
    assert capsys.readouterr().out.splitlines() == [
        *told[-1:],
        "  it was sent before: nothing is changed",
    ]


def test_later_windows_go_on_after_it(shop: OfflineShop, release: Callable[..., int]) -> None:
    for number in range(3):
        shop.tell(
            Kind.EMAIL_ACTIVITY, "SENT", at(9, 28), interactionId=number, campaignId=22, profileId=1
        )
    shop.store_all()
    release(shop)

    outcome = shop.close("sent", NEXT)

    assert outcome.rows == 3
    intent = shop.sinks.ledger.intent("sent", NEXT)
    assert intent is not None
    assert intent.previous_drop == f"sent@{CLOSE}"


def test_who_was_deleted_while_it_was_held_does_not_leave(
    shop: OfflineShop, release: Callable[..., int]
) -> None:
    delete(shop, BOB, 32)
    shop.store_all()

    assert release(shop) == 0

    drop = gzip.decompress(next(shop.transferbox.rglob("*.csv.gz")).read_bytes()).decode()
    assert "ANN" in drop
    assert "PLANTED" not in drop
    assert manifest_of(shop)["file"]["rows"] == 2


def test_an_erasure_does_not_wait_for_it_and_it_can_still_be_released(
    shop: OfflineShop, release: Callable[..., int]
) -> None:
    delete(shop, BOB, 32)
    shop.store_all()

    report = shop.sinks.eraser.run()

    assert report.left == []
    assert finds(shop.root) == set()
    assert release(shop) == 0
    assert finds(shop.root) == set()


def test_history_shows_what_is_held_and_what_was_released(
    shop: OfflineShop, release: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    config = shop.folder / "deltadrop.yaml"
    release(shop, close="20260327T060000.000Z")
    capsys.readouterr()

    status_command.history(config=config)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  held: 2 rows, at least 3 are expected",
    ]

    release(shop)
    capsys.readouterr()
    status_command.history(config=config)
    shown = capsys.readouterr().out
    assert "sent_20260328_0600.csv.gz  2 rows" in shown
    assert "  released: a holiday" in shown

    status_command.history(config=config, as_json=True)
    told = documented("history", capsys.readouterr().out)
    assert told["held"]["reasons"] == ["2 rows, at least 3 are expected"]
    assert told["released"]["reason"] == "a holiday"


def test_status_tells_what_is_held_and_the_command_that_settles_it(held: OfflineShop) -> None:
    """Also where it was closed by hand, and no report was made."""
    (status,) = status_of(held.sinks.installation, at(7, 28)).exports

    assert status.trouble == "held: 2 rows, at least 3 are expected"
    assert f"deltadrop release sent --close {CLOSE} --reason" in status.hint


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        ({"export": "snet"}, 2, "there is no export 'snet'; choose from sent; nearest match"),
        ({"close": "yesterday"}, 2, "--close: 'yesterday' isn't an instant; write it as"),
        ({"close": "2026-03-28T06:00"}, 2, "--close: '2026-03-28T06:00' isn't an instant"),
        ({"reason": "  "}, 2, "--reason: is empty; say who decided it and why"),
        ({"reason": None}, 2, "--reason: is empty; say who decided it and why"),
        ({"show": True, "accept_loss": True}, 2, "--show: doesn't go with --accept-loss"),
        ({"show": True, "export": "snet"}, 2, "there is no export 'snet'"),
        ({"show": True, "close": "20260327T060000.000Z"}, 1, "nothing is held at 20260327T06"),
        (
            {"close": "20260327T060000.000Z"},
            1,
            f"nothing is held at 20260327T060000.000Z; held: {CLOSE}",
        ),
        (
            {"close": "20260326T060000.000Z", "accept_loss": True},
            2,
            "export 'sent': no close at 20260326T060000.000Z is held for lost offsets; `deltadrop"
            " status` says what is, once `deltadrop close` has tried it\n",
        ),
    ],
)
def test_what_isnt_held_is_refused_with_what_is(
    held: OfflineShop,
    release: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    more: dict[str, Any],
    code: int,
    told: str,
) -> None:
    assert release(held, **more) == code

    assert told in capsys.readouterr().out
    assert held.drops() == []


def test_an_instant_may_be_written_with_any_zone() -> None:
    read = read_instant

    assert read(CLOSE) == read("2026-03-28T07:00+01:00") == read("2026-03-28T06:00:00Z") == HELD


def test_a_reason_is_one_line() -> None:
    assert release_command.read_reason(" a\n holiday ") == "a holiday"
    with pytest.raises(WrongInputError):
        release_command.read_reason("\n")


LOST_FROM, LOST_TO = 1, 3
HELD_FOR_LOSS = (
    "deltadrop.shop.profile/0: offsets 1 to 3 can't be read again: offsets are no longer in Kafka"
)
LET_GO = (
    f"to send the drop without them: deltadrop release profiles --close {CLOSE} --accept-loss"
    " --reason '…'; raise the retention"
)


@pytest.fixture
def losing(tmp_path: Path) -> OfflineShop:
    """Profiles 0 to 4 were created; the second and third never were stored, and Kafka's log begins
    after them by now.
    """
    (tmp_path / "deltadrop.yaml").write_text(
        "root: data\nclose: {wait_seconds: 0.1, delay_seconds: 0}\n"
    )
    definitions = with_exports("profiles", "cards")
    shop = OfflineShop(tmp_path, definitions=definitions)
    for profile in range(5):
        shop.tell(Kind.PROFILE, "CREATED", at(7), profileId=profile)
    name = next(name for name in shop.sinks.streams.topics if name.endswith(".profile"))
    shop.batch(name, 0, LOST_FROM)
    shop.batch(name, LOST_TO, 5)
    shop.stored[name] = 5
    shop.log.kept_from[name] = LOST_TO
    return shop


def held_for_loss(shop: OfflineShop, export: str, instant: datetime) -> HeldError:
    with pytest.raises(HeldError) as held:
        shop.close(export, instant)
    return held.value


def test_a_hole_holds_a_drop_and_it_goes_out_only_by_accept_loss(
    losing: OfflineShop, release: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--accept-loss" in held_for_loss(losing, "profiles", HELD).hint
    for more in ({}, {"show": True, "reason": None}):
        assert release(losing, export="profiles", **more) == 3
        assert capsys.readouterr().out.endswith(f"{HELD_FOR_LOSS}; {LET_GO}\n")
    assert losing.drops() == []

    assert release(losing, export="profiles", accept_loss=True, reason="retention") == 0

    assert "3 rows" in capsys.readouterr().out
    (file,) = losing.transferbox.rglob("profiles*.manifest.json")
    manifest = json.loads(file.read_text())
    (lost,) = manifest["lost"]["offsets"]
    assert (lost["first"], lost["next"]) == (LOST_FROM, LOST_TO)
    assert manifest["lost"]["reason"] == "retention"
    assert manifest["balance"]["input"] == 3
    assert manifest["offsets"][0]["next"] == 5


def status_of_profiles(shop: OfflineShop) -> ExportStatus:
    return next(
        one
        for one in status_of(shop.sinks.installation, at(7, 28)).exports
        if one.export == "profiles"
    )


def test_status_tells_what_is_held_for_a_loss_until_it_is_sent(
    losing: OfflineShop, release: Callable[..., int]
) -> None:
    """Also where it was closed by hand, and no report was made."""
    held_for_loss(losing, "profiles", HELD)

    status = status_of_profiles(losing)
    assert (status.trouble, status.hint) == (f"held: {HELD_FOR_LOSS}", LET_GO)

    release(losing, export="profiles", accept_loss=True)
    status = status_of_profiles(losing)
    assert (status.due, status.trouble) == ((), "")


def test_what_was_held_for_a_loss_is_closed_when_it_can_be_proven(losing: OfflineShop) -> None:
    held_for_loss(losing, "profiles", HELD)
    losing.batch("deltadrop.shop.profile", LOST_FROM, LOST_TO)  # by a worker that was late

    assert losing.close("profiles", HELD).rows == 5
    assert losing.sinks.closer.holds.lost("profiles", HELD) is None


def test_an_initial_drop_that_is_held_for_a_loss_goes_out_as_one(
    losing: OfflineShop, release: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    export = next(one for one in losing.sinks.exports if one.name == "profiles")
    instant = at(7, 30)  # long after the profiles were created
    with pytest.raises(HeldError):
        losing.sinks.closer.close(export, instant, lambda lags: None, initial=True)

    assert release(losing, "20260330T070000.000Z", export="profiles", accept_loss=True) == 0

    assert "3 rows" in capsys.readouterr().out
    intent = losing.sinks.ledger.intent("profiles", instant)
    assert intent is not None
    assert intent.initial
    outcome = losing.sinks.closer.close(export, instant, lambda lags: None, initial=True)
    assert outcome.rows == 3


def test_no_loss_is_accepted_for_a_window_that_another_exports_close_was_held_for(
    losing: OfflineShop, release: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """The cut of its topic is there; its own close was never tried at that instant."""
    file = losing.folder / "exports/profiles.yaml"
    other = file.read_text().replace("export: profiles", "export: others")
    (losing.folder / "exports/others.yaml").write_text(other)
    shop = losing.again()
    held_for_loss(shop, "profiles", HELD)

    assert release(shop, export="others", accept_loss=True) == 2

    assert f"no close at {CLOSE} is held for lost offsets" in capsys.readouterr().out
    assert list(shop.sinks.ledger.closes("others")) == []
    assert shop.drops() == []


def test_a_release_that_was_killed_is_finished_by_the_same_command(
    losing: OfflineShop, release: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its intent, or after it; and one that was sent stays as it is."""
    held_for_loss(losing, "profiles", HELD)

    def killed(*_: Any) -> None:
        raise KilledError

    for step in ("claim", "record_intent", "record_outcome"):
        with monkeypatch.context() as patched, pytest.raises(KilledError):
            patched.setattr(Ledger, step, killed)
            release(losing, export="profiles", accept_loss=True)
    assert release(losing, export="profiles", accept_loss=True) == 0
    assert release(losing, export="profiles", accept_loss=True) == 0


def test_what_kafka_still_has_is_mended_also_where_a_loss_is_accepted(
    losing: OfflineShop, release: Callable[..., int]
) -> None:
    name = next(name for name in losing.sinks.streams.topics if name.endswith(".profile"))
    losing.log.kept_from[name] = LOST_TO - 1
    held_for_loss(losing, "profiles", HELD)

    assert release(losing, export="profiles", accept_loss=True) == 0

    outcome = losing.sinks.ledger.outcome("profiles", HELD)
    assert outcome is not None
    assert outcome.rows == 4


def test_a_loss_is_accepted_once_for_all_that_reads_it_as_state(
    losing: OfflineShop, release: Callable[..., int]
) -> None:
    held_for_loss(losing, "profiles", HELD)
    held_for_loss(losing, "cards", HELD)
    release(losing, export="profiles", accept_loss=True, reason="retention")
    losing.tell(Kind.PROFILE, "UPDATED", at(9, 28), profileId=4)
    losing.store_all()

    assert losing.close("profiles", NEXT).rows == 1
    warning = f"the state is without offsets {LOST_FROM} to {LOST_TO} of deltadrop.shop.profile/0"
    outcome = losing.close("cards", HELD)  # its window is of cards; it reads profiles beside
    assert [one[: len(warning)] for one in outcome.warnings] == [warning]


def test_another_export_whose_own_window_has_the_loss_is_held_all_the_same(
    losing: OfflineShop, release: Callable[..., int]
) -> None:
    file = losing.folder / "exports/profiles.yaml"
    other = file.read_text().replace("export: profiles", "export: others")
    (losing.folder / "exports/others.yaml").write_text(other)
    shop = losing.again()
    held_for_loss(shop, "profiles", HELD)
    release(shop, export="profiles", accept_loss=True)

    error = held_for_loss(shop, "others", HELD)

    assert error.what == (
        "offsets 1 to 3 of deltadrop.shop.profile/0 are in the window, and neither stored nor in"
        " Kafka any more"
    )
    assert "deltadrop release others --close 20260328T060000.000Z --accept-loss" in error.hint
    assert release(shop, export="others", accept_loss=True) == 0


def test_what_is_left_still_has_to_keep_to_the_guard_rails(
    losing: OfflineShop, release: Callable[..., int]
) -> None:
    file = losing.folder / "exports/profiles.yaml"
    file.write_text(file.read_text() + "guard_rails: {rows_at_least: 4}\n")
    shop = losing.again()
    held_for_loss(shop, "profiles", HELD)

    assert release(shop, export="profiles", accept_loss=True, reason="retention") == 3
    assert shop.drops() == []

    assert release(shop, export="profiles", reason="no more to be had") == 0
    (file,) = shop.transferbox.rglob("profiles*.manifest.json")
    manifest = json.loads(file.read_text())
    assert manifest["lost"]["reason"] == "retention"
    assert manifest["released"]["reason"] == "no more to be had"


def test_a_loss_without_a_drop_is_not_accepted_by_the_next_close(losing: OfflineShop) -> None:
    """Killed between the record of the loss and the intent."""
    held_for_loss(losing, "profiles", HELD)
    export = next(one for one in losing.sinks.exports if one.name == "profiles")

    def killed(*_: Any, **__: Any) -> None:
        raise KilledError

    completeness = losing.sinks.closer.intentions.completeness
    proves, completeness.prove = completeness.prove, killed  # type: ignore[method-assign]
    with pytest.raises(KilledError):
        losing.sinks.closer.close(export, HELD, lambda lags: None, loss="retention")
    completeness.prove = proves  # type: ignore[method-assign]

    held_for_loss(losing, "profiles", HELD)
    assert losing.drops() == []


def test_an_accepted_loss_does_not_keep_an_erasure_from_what_comes_after(
    losing: OfflineShop, release: Callable[..., int]
) -> None:
    held_for_loss(losing, "profiles", HELD)
    assert losing.sinks.eraser.run().left

    release(losing, export="profiles", accept_loss=True)
    losing.tell(Kind.PROFILE, "DELETED", at(9, 28), profileId=4)
    losing.store_all()
    report = losing.sinks.eraser.run()

    assert report.left == []
    assert report.deletions == 1


def test_a_loss_that_isnt_there_needs_no_reason(
    losing: OfflineShop, release: Callable[..., int]
) -> None:
    name = next(name for name in losing.sinks.streams.topics if name.endswith(".profile"))
    held_for_loss(losing, "profiles", HELD)
    losing.log.kept_from[name] = 0

    assert release(losing, export="profiles", accept_loss=True) == 0

    (file,) = losing.transferbox.rglob("profiles*.manifest.json")
    assert "lost" not in json.loads(file.read_text())


def test_nothing_is_released_that_was_begun_and_isnt_held(losing: OfflineShop) -> None:
    name = next(name for name in losing.sinks.streams.topics if name.endswith(".profile"))
    losing.log.kept_from[name] = 0
    losing.begin("profiles", HELD)

    with pytest.raises(CloseError, match="was begun and is not held") as refused:
        Releaser(losing.sinks.reviser).release("profiles", HELD, "why")
    assert "deltadrop close profiles --at 2026-03-28T06:00:00+00:00" in refused.value.hint
