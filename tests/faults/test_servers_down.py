"""Fault matrix: a close whose Kafka or schema registry goes away at one of its steps is whole after
the next run; so is one that something happens to before it has decided anything.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from deploy.parts import KafkaBroker, SchemaRegistry, kafka_on_java, registry_on_java
from tests.faults import matrix_page
from tests.faults.closed import Undisturbed, inodes
from tests.faults.disk import FILLER, small_disk
from tests.faults.injected import Fault
from tests.faults.matrix_page import COMBINATIONS, KILLS, SERVED_STEPS, SERVERS, Left
from tests.faults.partners import Reader, Server, running_servers
from tests.faults.served import HOLE, Stored, running, stored

TRIED = [one for one in COMBINATIONS if one[0] in SERVED_STEPS or one[1] in SERVERS]
QUICK = {("mend", "registry down"), ("s3", "broker down"), ("mend", "killed during")}
"""Those that every run of the tests tries; `--soak` tries all."""
LONGEST_SECONDS = 60
DISK_BYTES = 64 * 1024 * 1024


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """One for this module: it goes away and comes back."""
    with kafka_on_java(tmp_path_factory.mktemp("broker")) as own:
        yield own


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SchemaRegistry]:
    with registry_on_java(tmp_path_factory.mktemp("schemas")) as own:
        yield own


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    with running_servers(tmp_path_factory) as places:
        yield places


@pytest.fixture(scope="module")
def before(
    broker: KafkaBroker,
    schemas: SchemaRegistry,
    servers: dict[str, Server],
    tmp_path_factory: pytest.TempPathFactory,
) -> Stored:
    return stored(tmp_path_factory.mktemp("before"), broker, schemas, servers)


@pytest.fixture(scope="module")
def undisturbed(
    before: Stored, servers: dict[str, Server], tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    folder = tmp_path_factory.mktemp("through")
    site = before.site(folder / "site", servers, "through")
    ended = site.close(folder / "said")
    assert ended.code == 0, ended.said
    (mended,) = ended.logged("range read again")
    assert (mended["first"], mended["next"]) == HOLE, "the close had to read it from Kafka"
    return Undisturbed.of(site)


def tried() -> Iterator[Any]:
    for one in TRIED:
        yield pytest.param(*one, marks=() if one in QUICK else pytest.mark.soak)


@pytest.mark.parametrize(("step", "what"), list(tried()))
def test_a_server_goes_away_at_a_step_and_is_back_for_the_next_run(
    broker: KafkaBroker,
    schemas: SchemaRegistry,
    before: Stored,
    servers: dict[str, Server],
    undisturbed: Undisturbed,
    tmp_path: Path,
    pytestconfig: pytest.Config,
    step: str,
    what: str,
) -> None:
    gone = {"broker down": broker, "registry down": schemas}.get(what)
    with ExitStack() as stack:
        full = what == "disk full"
        disk = stack.enter_context(small_disk(tmp_path, DISK_BYTES)) if full else None
        name = f"{step}-{what}".replace(" ", "-")
        site = before.site((disk or tmp_path) / "site", servers, name)
        fault = Fault(step, what, disk, running(gone) if gone else None)
        mend: Callable[[], object] = (disk / FILLER).unlink if disk else lambda: None
        if gone:
            stack.callback(gone.start)
            mend = gone.start
        reader = Reader(lambda: site.places, undisturbed.files)
        with reader.looking():
            began = time.monotonic()
            ended = site.close(tmp_path / "said", fault)
            took = time.monotonic() - began
            first, sent = Left.by(ended, site), inodes(site.held())
            assert gone is None or gone.pid is None, "it was taken away, and stayed away"
            mend()
            again = site.close(tmp_path / "said")
        second = Left.by(again, site)

        assert again.code == 0, again.said
        undisturbed.is_what_is_left(site, reader, sent)
        assert took < LONGEST_SECONDS
        if what in KILLS:
            assert ended.code == -signal.SIGKILL, ended.said
        elif ended.code == 0:
            assert first == second, "all was done without it"
        else:
            ended.failed_well()
            assert gone is None or fault.address in ended.message
    matrix_page.check(step, what, first, second, update=pytestconfig.getoption("--update-golden"))


def test_the_quick_ones_are_some_of_all() -> None:
    assert set(TRIED) > QUICK
