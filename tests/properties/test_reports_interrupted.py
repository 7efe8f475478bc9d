"""A run that is killed anywhere and run again loses no report, and tells an outcome once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from schemas.events import Kind
from sinks.ledger.ledger import Ledger
from sinks.repair.redrop import Redropper
from sinks.reports import Report, Reporter
from streams.storage.folder import FolderStore
from tests.shop.killed import CountedStore, KilledError, Steps, counted
from tests.shop.offline import OfflineShop, at, with_exports
from tests.shop.told import Sent


class CountedChannel(Sent):
    """A channel whose sending is two steps: one may be killed before it, or before its note."""

    def __init__(self, sent: list[Report], steps: Steps) -> None:
        super().__init__()
        self.reports = sent
        self.steps = steps

    def send(self, report: Report) -> None:
        self.steps.next()
        super().send(report)
        self.steps.next()


def run(shop: OfflineShop, steps: Steps, sent: list[Report]) -> None:
    """A run of `close`, with its reports."""
    again = shop.again(CountedStore(shop.root, steps))
    ledger, (export,) = again.sinks.ledger, again.sinks.exports
    reporter = Reporter(ledger, [CountedChannel(sent, steps)], lambda: at(7, 28))
    reporter.settle([export])
    if ledger.outcome(export.name, at(6, 28)) is None:
        outcome = again.close(export.name, at(6, 28))
        reporter.delivered(export, at(6, 28), outcome)
    reporter.send()


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> OfflineShop:
    definitions = with_exports("profiles")
    definitions["exports/profiles.yaml"] += "recipients: [a@shop.example]\n"
    shop = OfflineShop(tmp_path_factory.mktemp("before"), definitions=definitions)
    shop.tell(Kind.PROFILE, "CREATED", at(7), profileId=1)
    shop.store_all()
    return shop


def test_wherever_it_is_killed_the_next_run_tells_what_was_not_told(
    before: OfflineShop, tmp_path: Path
) -> None:
    killed_at, twice, was_killed = -1, 0, True
    while was_killed:
        killed_at, was_killed = killed_at + 1, False
        folder = tmp_path / str(killed_at)
        shop = before.copied(folder)
        sent: list[Report] = []
        try:
            run(shop, Steps(killed_at), sent)
        except KilledError:
            was_killed = True
            expire_leases(Ledger(FolderStore(shop.root)))
            run(shop, Steps(None), sent)
        told = Counter(report.id for report in sent)

        assert set(told) == {"profiles/20260328T060000.000Z/delivered"}
        twice += told.total() - 1

    assert killed_at > 8
    assert twice == 2  # killed after the sending, before it was noted: the same id again


def revise(shop: OfflineShop, steps: Steps, sent: list[Report]) -> None:
    """A run of `redrop --current-definition`, with its reports."""
    again = shop.again(CountedStore(shop.root, steps))
    reviser, (export,) = counted(again.sinks.reviser, shop.root, steps), again.sinks.exports
    Redropper(reviser).redrop(export.name, at(6, 28), "fewer columns", export)
    reporter = Reporter(again.sinks.ledger, [CountedChannel(sent, steps)], lambda: at(7, 28))
    reporter.revised([export])
    reporter.send()


def test_wherever_a_revision_is_killed_it_is_told_once_it_is_delivered(
    before: OfflineShop, tmp_path: Path
) -> None:
    closed, first = before.copied(tmp_path / "closed"), list[Report]()
    run(closed, Steps(None), first)
    definition = closed.folder / "exports/profiles.yaml"
    definition.write_text(definition.read_text() + "columns: [profileId]\n")
    killed_at, twice, was_killed = -1, 0, True
    while was_killed:
        killed_at, was_killed = killed_at + 1, False
        shop = closed.copied(tmp_path / str(killed_at))
        sent: list[Report] = []
        try:
            revise(shop, Steps(killed_at), sent)
        except KilledError:
            was_killed = True
            expire_leases(Ledger(FolderStore(shop.root)))
            revise(shop, Steps(None), sent)
        told = Counter(report.id for report in sent)

        assert set(told) == {"profiles/20260328T060000.000Z/revised-r1"}
        twice += told.total() - 1

    assert killed_at > 10
    assert twice == 2


def expire_leases(ledger: Ledger) -> None:
    """Let the time pass after which a dead process no longer counts as sending."""
    for name in list(ledger.store.names("leases")):
        ledger.store.remove(name)
