"""Fault matrix: a close that a fault hits at any of its steps is whole after the next run, and a
reader at the partner's never sees anything but whole files.
"""

from __future__ import annotations

import hashlib
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from deploy.parts.certificates import Certificate, self_signed
from deploy.parts.gateway import running_gateway
from deploy.parts.ports import free_port
from deploy.parts.sshd import SftpServer, running_sshd
from deploy.parts.vsftpd import running_vsftpd
from schemas.events import Kind
from tests.faults import matrix_page
from tests.faults.closed import Site, Undisturbed, inodes
from tests.faults.closing import EXPORT
from tests.faults.disk import FILLER, fill, small_disk
from tests.faults.injected import Fault
from tests.faults.matrix_page import COMBINATIONS, KILLS, SERVED_STEPS, SERVERS, Left
from tests.faults.partners import PLACES, Reader, Server, running_servers, secrets_of
from tests.integration.servers import root_of
from tests.shop.offline import OfflineShop, at, with_exports
from tests.shop.scheduling import keep_log

MIB = 1024 * 1024
INSTANT = at(6)
OWN = ("intent", "drop", "receipt", "waiting", "outcome")
TRIED = [one for one in COMBINATIONS if one[0] not in SERVED_STEPS and one[1] not in SERVERS]
QUICK = {
    *((step, "killed during") for step in (*OWN, *PLACES)),
    *((step, "killed after") for step in ("drop", *PLACES)),
    *((step, "disk full") for step in ("drop", "s3", "sftp")),
    ("transferbox", "refused"),
    ("sftp", "refused"),
    ("s3", "down"),
    ("outcome", "killed before"),
}
"""Those that every run of the tests tries; `--soak` tries all."""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> OfflineShop:
    """A window of 4,000 mails (2 MB), and one whose campaign isn't known."""
    definitions = with_exports(EXPORT)
    definitions[f"exports/{EXPORT}.yaml"] = (
        definitions[f"exports/{EXPORT}.yaml"].replace("file: {compression: gzip}\n", "")
        + f"deliver: [{', '.join(PLACES)}]\n"
    )
    folder = tmp_path_factory.mktemp("before") / "site"
    for name in ("s3", "sftp", "ftps"):  # none is reached: what is prepared is before the close
        assert name in definitions[f"exports/{EXPORT}.yaml"]
    folder.mkdir()
    stub = "{kind: s3, bucket: drops}"
    (folder / "deltadrop.yaml").write_text(
        f"root: data\nlocations: {{s3: {stub}, sftp: {stub}, ftps: {stub}}}\n"
    )
    shop = OfflineShop(folder, definitions=definitions)
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    for number in range(4000):
        address = hashlib.sha512(str(number).encode()).hexdigest() * 4
        shop.tell(Kind.EMAIL_ACTIVITY, "SENT", at(2), interactionId=number, emailAddress=address)
    shop.tell(Kind.EMAIL_ACTIVITY, "SENT", at(3), interactionId=5000, campaignId=77)
    shop.store_all()
    keep_log(shop)
    return shop


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    with running_servers(tmp_path_factory) as running:
        yield running


def made(before: OfflineShop, folder: Path, servers: Mapping[str, Server], own: str) -> Site:
    shutil.copytree(before.folder, folder)
    nobody = {"kafka": {"bootstrap_servers": f"localhost:{free_port()}"}}
    site = Site(folder, INSTANT, dict(servers), own, nobody)
    site.settle()
    return site


@pytest.fixture(scope="module")
def undisturbed(
    before: OfflineShop, servers: dict[str, Server], tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    site = made(before, tmp_path_factory.mktemp("through") / "site", servers, "through")
    ended = site.close(site.folder.parent / "said")
    assert ended.code == 0, ended.said
    left = Undisturbed.of(site)
    assert len(left.drop) > 2 * MIB
    return left


# How a fault is made that isn't one of the close's own process, and how it's mended.


Mended = Callable[[], object]


def spoilt(
    site: Site, step: str, what: str, stack: ExitStack, tmp_path: Path
) -> tuple[dict[str, str], Mended]:
    """Make a fault; return the environment of the first run, and what mends it."""
    environment, nothing = site.environment, lambda: None
    if what == "down":
        process = site.servers[step].process
        process.stop()
        return environment, process.start
    if what == "refused":
        return _refusing(site, step)
    if what == "disk full" and step in PLACES:
        return environment, _full(site, step, stack, tmp_path)
    return environment, nothing


def _refusing(site: Site, step: str) -> tuple[dict[str, str], Mended]:
    if step == "transferbox":
        blocked = site.data / "transferbox"
        blocked.write_text("a file where the folder should be")
        return site.environment, blocked.unlink
    if step == "sftp":
        known = site.folder / "deltadrop.yaml"
        right = known.read_text()
        server = site.servers[step]
        assert isinstance(server, SftpServer)
        known.write_text(right.replace(str(server.key), str(server.key.with_name("host_key"))))
        return site.environment, lambda: known.write_text(right)
    variable = {"s3": "SECRET_KEY", "ftps": "PARTNER_PASSWORD"}[step]
    return site.environment | {variable: "wrong"}, lambda: None


def _full(site: Site, step: str, stack: ExitStack, tmp_path: Path) -> Mended:
    """Let the place be on a disk of its own that has 1 MiB left."""
    size = 16 * MIB
    if step in ("transferbox", "s3"):
        disk = stack.enter_context(small_disk(tmp_path, size))
        filler = disk / FILLER
        if step == "transferbox":
            (site.data / "transferbox").symlink_to(disk)
        else:
            site.servers["s3"] = stack.enter_context(running_gateway(disk / "s3"))
        site.settle()
        fill(disk, leave=MIB)
        return filler.unlink
    if step == "sftp":
        server: Server = stack.enter_context(running_sshd(tmp_path / "own", disk_bytes=size))
    else:
        certificate: Certificate = self_signed(tmp_path / "certificate")
        server = stack.enter_context(running_vsftpd(tmp_path / "own", certificate, disk_bytes=size))
    site.servers[step] = server
    site.settle()
    site.environment = secrets_of(site.servers)
    fill(root_of(server), leave=MIB)
    return (root_of(server) / FILLER).unlink


def tried() -> Iterator[Any]:
    for one in TRIED:
        yield pytest.param(*one, marks=() if one in QUICK else pytest.mark.soak)


@pytest.mark.parametrize(("step", "what"), list(tried()))
def test_a_fault_at_a_step_and_the_next_run(
    before: OfflineShop,
    servers: dict[str, Server],
    undisturbed: Undisturbed,
    tmp_path: Path,
    pytestconfig: pytest.Config,
    step: str,
    what: str,
) -> None:
    with ExitStack() as stack:
        fills_own = what == "disk full" and step in OWN
        disk = stack.enter_context(small_disk(tmp_path, 64 * MIB)) if fills_own else None
        folder = (disk or tmp_path) / "site"
        site = made(before, folder, servers, f"{step}-{what}".replace(" ", "-"))
        environment, mend = spoilt(site, step, what, stack, tmp_path)
        reader = Reader(lambda: site.places, undisturbed.files)
        with reader.looking():
            ended = site.close(tmp_path / "said", Fault(step, what, disk), environment)
            first, sent = Left.by(ended, site), inodes(site.held())
            mend()
            if disk is not None:
                (disk / FILLER).unlink()
            again = site.close(tmp_path / "said")

        assert again.code == 0, again.said
        if what in KILLS:
            assert ended.code == -signal.SIGKILL, ended.said
        else:
            ended.failed_well()
        undisturbed.is_what_is_left(site, reader, sent)
        second = Left.by(again, site)
    matrix_page.check(step, what, first, second, update=pytestconfig.getoption("--update-golden"))


def test_the_page_has_a_row_for_each_combination_and_no_other() -> None:
    assert [(row.step, row.fault) for row in matrix_page.rows()] == COMBINATIONS
    assert set(TRIED) >= QUICK
    assert matrix_page.head_of_page() == matrix_page.head()
