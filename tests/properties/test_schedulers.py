"""Schedulers as processes of their own, killed, frozen and stopped: every window is closed once,
each export's in order, with the bytes of a night in which nothing happened.
"""

import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schemas.events import Kind
from sinks.instants import stamp
from sinks.ledger.lease import latest_grant
from tests.shop.mail_server import PASSWORD, USER, Mailbox, mail_server
from tests.shop.offline import OfflineShop, at, with_exports
from tests.shop.scheduling import Clock, SchedulerProcess, keep_log

DAYS = (29, 30)
LEASE_SECONDS = 3.0
NOW = at(7, 31)
FIRST, MISSED = at(6, 29), [at(6, 30), at(6, 31)]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> OfflineShop:
    """Two days of events, stored; each export was closed on the first day, then nothing ran."""
    folder = tmp_path_factory.mktemp("before")
    (folder / "deltadrop.yaml").write_text(
        f"root: data\nclose: {{delay_seconds: 0.5, wait_seconds: 1}}\n"
        f"schedule: {{lease_seconds: {LEASE_SECONDS}, retry_seconds: 0.2}}\n"
    )
    definitions = {
        name: f"{text}recipients: [a@shop.example]\n" if name.startswith("exports/") else text
        for name, text in with_exports("profiles", "sent", "stores").items()
    }
    shop = OfflineShop(folder, definitions=definitions)
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1, 28), campaignId=22)
    for day in DAYS:
        for hour in range(5, 23, 3):
            number = day * 100 + hour
            shop.tell(Kind.PROFILE, "CREATED", at(hour, day), profileId=number)
            shop.tell(
                Kind.EMAIL_ACTIVITY, "SENT", at(hour, day), profileId=number, interactionId=number
            )
    shop.store_all()
    shop.close_all(FIRST)
    keep_log(shop)
    return shop


@pytest.fixture(scope="module")
def undisturbed(before: OfflineShop, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What lies in the transferbox after nights in which nothing happened."""
    shop = before.copied(tmp_path_factory.mktemp("undisturbed"))
    for instant in MISSED:
        shop.close_all(instant)
    return contents(shop)


@pytest.fixture
def shop(before: OfflineShop, tmp_path: Path) -> OfflineShop:
    return before.copied(tmp_path)


@pytest.fixture
def start(shop: OfflineShop) -> Iterator[Callable[..., SchedulerProcess]]:
    """Starts schedulers on one clock; those that still run are killed at the end."""
    clock, started = Clock.at(NOW), []

    def start(name: str, **environment: str) -> SchedulerProcess:
        started.append(SchedulerProcess(shop.folder, clock, name, environment))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.wait()


def contents(shop: OfflineShop) -> dict[str, bytes]:
    files = (file for file in shop.transferbox.rglob("*") if file.is_file())
    return {str(file.relative_to(shop.transferbox)): file.read_bytes() for file in files}


def all_closed(shop: OfflineShop) -> bool:
    ledger = shop.sinks.ledger
    return all(
        ledger.outcome(export.name, instant) for export in shop.sinks.exports for instant in MISSED
    )


def until(condition: Callable[[], bool], seconds: float = 150) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def mail_settings(mailbox: Mailbox) -> dict[str, str]:
    settings = {
        "HOST": "localhost",
        "PORT": str(mailbox.port),
        "USERNAME": USER,
        "PASSWORD": PASSWORD,
        "CA_FILE": str(mailbox.ca_file),
    }
    return {f"DELTADROP_MAIL__{name}": value for name, value in settings.items()}


def told_of(mailbox: Mailbox) -> set[str]:
    return {message["Message-ID"] for message in mailbox.messages}


def chain(shop: OfflineShop, export: str) -> list[str | None]:
    ledger = shop.sinks.ledger
    intents = [ledger.intent(export, instant) for instant in ledger.closes(export)]
    return [intent.previous_drop for intent in intents if intent]


def test_of_two_one_closes_and_what_was_missed_comes_first_and_in_order(
    shop: OfflineShop,
    start: Callable[..., SchedulerProcess],
    undisturbed: dict[str, bytes],
) -> None:
    both = [start("one"), start("two")]
    until(lambda: all_closed(shop) and all(one.lines("scheduler started") for one in both))
    for one in both:
        one.signal(signal.SIGTERM)

    assert [one.wait() for one in both] == [0, 0]
    closing = [one.lines("closing") for one in both]
    assert [] in closing  # the other only stood by
    instants = [line["instant"] for line in closing[0] + closing[1]]
    assert instants == sorted(instants)
    assert len(instants) == len(MISSED) * len(shop.sinks.exports)
    assert contents(shop) == undisturbed


@pytest.fixture
def mailbox(tmp_path: Path) -> Iterator[Mailbox]:
    with mail_server(tmp_path) as mailbox:
        yield mailbox


def test_killed_frozen_and_started_again_at_any_moment_they_close_and_tell_each_window_once(
    shop: OfflineShop,
    start: Callable[..., SchedulerProcess],
    undisturbed: dict[str, bytes],
    mailbox: Mailbox,
) -> None:
    chance, by_mail = random.Random(random.getrandbits(32)), mail_settings(mailbox)
    running = {name: start(name, **by_mail) for name in ("one", "two")}
    deadline, disturbed = time.monotonic() + 200, 0
    # Those of the first day, too: the run that closed it told nothing.
    wanted = (1 + len(MISSED)) * len(shop.sinks.exports)
    while not all_closed(shop) or len(told_of(mailbox)) < wanted:
        assert time.monotonic() < deadline
        time.sleep(chance.uniform(0.5, 2.5))
        name = chance.choice(sorted(running))
        if disturbed >= 4:
            continue
        disturbed += 1
        if chance.random() < 0.6:
            running[name].process.kill()
            running[name].wait()
            running[name] = start(name, **by_mail)
        else:
            running[name].signal(signal.SIGSTOP)
            time.sleep(LEASE_SECONDS * chance.uniform(0.5, 2))
            running[name].signal(signal.SIGCONT)
    for one in running.values():
        until(lambda one=one: bool(one.lines("scheduler started")))  # type: ignore[misc]
        one.signal(signal.SIGTERM)

    assert [one.wait() for one in running.values()] == [0, 0]
    assert contents(shop) == undisturbed
    assert len(told_of(mailbox)) == wanted
    assert len(mailbox.messages) <= wanted + disturbed  # killed between the sending and its note
    for export in shop.sinks.exports:
        drops = [f"{export.name}@{stamp(instant)}" for instant in (FIRST, *MISSED)]
        assert chain(shop, export.name) == [None, *drops[:-1]]


def test_after_sigterm_the_close_under_way_is_finished_and_the_lease_given_up(
    shop: OfflineShop, start: Callable[..., SchedulerProcess]
) -> None:
    one = start("one")
    until(lambda: len(one.lines("closing")) >= 2)
    one.signal(signal.SIGTERM)

    assert one.wait() == 0
    assert len(one.lines("closing")) == len(one.lines("closed"))
    assert not all_closed(shop)  # it didn't go on to the others
    grant = latest_grant(shop.sinks.ledger.store, "schedule")
    assert grant is not None
    assert grant.released


def test_the_lease_of_a_killed_scheduler_is_taken_over_after_its_expiry(
    shop: OfflineShop, start: Callable[..., SchedulerProcess]
) -> None:
    both = [start("one"), start("two")]
    until(lambda: any(one.lines("closing") for one in both))
    until(lambda: any(one.lines("scheduler stands by") for one in both))
    first, second = sorted(both, key=lambda one: bool(one.lines("scheduler stands by")))
    first.process.kill()

    until(lambda: bool(second.lines("lease taken")))

    assert second.lines("lease taken")[0]["fence"] == 2
    until(lambda: all_closed(shop))
