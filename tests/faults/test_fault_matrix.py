"""Fault matrix: a close that a fault hits at any of its steps is whole after the next run, and a
reader at the partner's never sees anything but whole files.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from deploy.parts.certificates import Certificate, self_signed
from deploy.parts.gateway import Gateway, running_gateway
from deploy.parts.ports import free_port
from deploy.parts.sshd import SftpServer, running_sshd
from deploy.parts.vsftpd import FtpsServer, running_vsftpd
from schemas.events import Kind
from tests.faults import matrix_page
from tests.faults.closing import EXPORT, INSTANT, NAME, Fault, close
from tests.faults.disk import FILLER, fill, small_disk
from tests.faults.matrix_page import Row
from tests.integration.servers import ftps_settings, root_of, s3_settings, sftp_settings
from tests.shop.offline import OfflineShop, at, with_exports
from tests.shop.scheduling import keep_log

MIB = 1024 * 1024
KILLS = ("killed before", "killed during", "killed after")
OWN = ("intent", "drop", "receipt", "waiting", "outcome")
PLACES = ("transferbox", "s3", "sftp", "ftps")
STEPS = ("intent", "drop", *PLACES, "receipt", "waiting", "outcome")
Server = Gateway | SftpServer | FtpsServer


def faults_of(step: str) -> Iterator[str]:
    yield from KILLS
    yield "disk full"
    if step in PLACES:
        yield "refused"
    if step in PLACES and step != "transferbox":
        yield "down"
    if step == "intent":
        yield "broker down"


COMBINATIONS = [(step, fault) for step in STEPS for fault in faults_of(step)]
QUICK = {
    *((step, "killed during") for step in STEPS),
    *((step, "killed after") for step in ("drop", *PLACES)),
    *((step, "disk full") for step in ("drop", "s3", "sftp")),
    ("transferbox", "refused"),
    ("sftp", "refused"),
    ("s3", "down"),
    ("outcome", "killed before"),
}
"""Those that every run of the tests tries; `--soak` tries all."""
FILES = (NAME, f"{NAME}.manifest.json")
WHOLE = "each: drop, manifest"
ALL = sorted([*(f"at.{place}.json" for place in PLACES), "intent.json", "outcome.json"])
ALL += ["waiting.parquet"]


@dataclass
class Site:
    """An installation, its places, and the servers that are there for all combinations."""

    folder: Path
    log: Path
    servers: dict[str, Server]
    environment: dict[str, str]
    own: str  # the folder of this combination at each place

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def places(self) -> dict[str, Path]:
        """Where a partner looks."""
        roots = {name: root_of(server) / self.own for name, server in self.servers.items()}
        roots["transferbox"] = self.data / "transferbox"
        return {name: roots[name] / "crm" / EXPORT for name in PLACES}

    def settle(self) -> None:
        """Write the settings."""
        told = {
            "s3": s3_settings(self.servers["s3"]),  # type: ignore[arg-type]
            "sftp": sftp_settings(self.servers["sftp"]),  # type: ignore[arg-type]
            "ftps": ftps_settings(self.servers["ftps"]),  # type: ignore[arg-type]
        }
        more = {"folder": self.own, "attempts": 3, "retry_seconds": 0.2, "timeout_seconds": 10}
        lines = ["root: data", f"kafka: {{bootstrap_servers: 'localhost:{free_port()}'}}"]
        lines.append("locations:")
        for name, one in told.items():
            lines += [
                f"  {name}:",
                *(f"    {key}: {value!s}" for key, value in (one | more).items()),
            ]
        (self.folder / "deltadrop.yaml").write_text("\n".join(lines) + "\n")

    def ledger(self) -> list[str]:
        folders = list((self.data / "ledger" / "exports" / EXPORT).glob("*"))
        assert len(folders) <= 1, "one window"
        return sorted(f.name for one in folders for f in one.iterdir() if f.name[0] != ".")

    def held(self) -> dict[str, dict[str, Path]]:
        """What each place has under names that a partner takes."""
        return {
            name: {file.name: file for file in visible(folder)}
            for name, folder in self.places.items()
        }


def visible(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


@dataclass
class Reader:
    """Looks into the partner's folders all the while."""

    folders: Callable[[], Mapping[str, Path]]
    expected: Mapping[str, bytes]
    wrong: list[str] = field(default_factory=list)
    looks: int = 0
    right: set[tuple[str, int, int, int]] = field(default_factory=set)  # as they were read

    @contextmanager
    def looking(self) -> Iterator[None]:
        done = threading.Event()
        thread = threading.Thread(target=self._look, args=(done,))
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _look(self, done: threading.Event) -> None:
        while not done.is_set():
            for place, folder in self.folders().items():
                for file in visible(folder):
                    self._judge(place, file)
            self.looks += 1
            time.sleep(0.001)

    def _judge(self, place: str, file: Path) -> None:
        try:
            known = file.stat()
            as_it_is = (str(file), known.st_ino, known.st_size, known.st_mtime_ns)
            if as_it_is in self.right:
                return
            content = file.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            self.wrong.append(f"{place}: {file.name} was there, and went")
            return
        if content == self.expected.get(file.name):
            self.right.add(as_it_is)
        else:
            self.wrong.append(f"{place}: {file.name}, {len(content)} bytes")


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
    certificate = self_signed(tmp_path_factory.mktemp("certificate"))
    with (
        running_gateway(tmp_path_factory.mktemp("s3")) as s3,
        running_sshd(tmp_path_factory.mktemp("sftp")) as sftp,
        running_vsftpd(tmp_path_factory.mktemp("ftps"), certificate) as ftps,
    ):
        yield {"s3": s3, "sftp": sftp, "ftps": ftps}


def environment_of(servers: Mapping[str, Server]) -> dict[str, str]:
    s3, ftps = servers["s3"], servers["ftps"]
    assert isinstance(s3, Gateway)
    assert isinstance(ftps, FtpsServer)
    keys = {"ACCESS_KEY": s3.access_key, "SECRET_KEY": s3.secret_key}
    return keys | {"PARTNER_PASSWORD": ftps.jail.password}


def made(before: OfflineShop, folder: Path, servers: Mapping[str, Server], own: str) -> Site:
    shutil.copytree(before.folder, folder)
    site = Site(folder, folder / "log.pickle", dict(servers), environment_of(servers), own)
    site.settle()
    return site


@dataclass(frozen=True)
class Undisturbed:
    """What a close that nothing happens to leaves."""

    files: Mapping[str, bytes]
    ledger: list[str]
    waiting: list[dict[str, Any]]


@pytest.fixture(scope="module")
def undisturbed(
    before: OfflineShop, servers: dict[str, Server], tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    site = made(before, tmp_path_factory.mktemp("through") / "site", servers, "through")
    ended = close(site.folder, site.folder.parent / "said", site.environment)
    assert ended.code == 0, ended.said
    files = {name: file.read_bytes() for name, file in site.held()["transferbox"].items()}
    assert tuple(files) == FILES
    assert len(files[NAME]) > 2 * MIB
    assert json.loads(files[FILES[1]])["file"]["sha256"] == hashlib.sha256(files[NAME]).hexdigest()
    return Undisturbed(files, site.ledger(), waiting(site))


def waiting(site: Site) -> list[dict[str, Any]]:
    (file,) = site.data.glob("ledger/exports/*/*/waiting.parquet")
    return pq.read_table(file, partitioning=None).to_pylist()


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
    site.environment = environment_of(site.servers)
    fill(root_of(server), leave=MIB)
    return (root_of(server) / FILLER).unlink


def told(held: Mapping[str, Mapping[str, Path]]) -> str:
    """What the folders have, for the page."""
    short = {NAME: "drop", FILES[1]: "manifest"}
    words = {place: ", ".join(short[n] for n in names) for place, names in held.items()}
    if set(words.values()) == {"drop, manifest"}:
        return WHOLE
    return "; ".join(f"{place}: {files}" for place, files in words.items() if files) or "nothing"


def entries(names: list[str]) -> str:
    if names == ALL:
        return "all"
    return ", ".join(name.rsplit(".", 1)[0] for name in names) or "nothing"


def tried() -> Iterator[Any]:
    for one in COMBINATIONS:
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
            ended = close(folder, tmp_path / "said", environment, Fault(step, what, disk))
            ledger, held = site.ledger(), site.held()
            inodes = {file: file.stat().st_ino for one in held.values() for file in one.values()}
            mend()
            if disk is not None:
                (disk / FILLER).unlink()
            again = close(folder, tmp_path / "said", site.environment)
        seen = Row(
            step, what, entries(ledger), told(held), entries(site.ledger()), told(site.held())
        )

        assert again.code == 0, again.said
        if what in KILLS:
            assert ended.code == -signal.SIGKILL, ended.said
        else:
            assert ended.code == 1
            assert "unforeseen" not in ended.said
            assert "; " in ended.said, "it says what to do"
        assert reader.wrong == []
        assert reader.looks > 5
        contents = {
            place: {name: file.read_bytes() for name, file in files.items()}
            for place, files in site.held().items()
        }
        assert contents == dict.fromkeys(PLACES, undisturbed.files)
        assert {file: file.stat().st_ino for file in inodes} == inodes, "nothing was sent again"
        assert site.ledger() == undisturbed.ledger
        assert waiting(site) == undisturbed.waiting
        outcome = OfflineShop(folder, definitions={}).sinks.ledger.outcome(EXPORT, INSTANT)
        assert outcome is not None
        assert outcome.sha256 == hashlib.sha256(undisturbed.files[NAME]).hexdigest()
        assert len(outcome.receipts) == 2 * len(PLACES)
    if pytestconfig.getoption("--update-golden"):
        matrix_page.write(seen, COMBINATIONS)
    assert seen in matrix_page.rows()


def test_the_page_has_a_row_for_each_combination_and_no_other() -> None:
    assert [(row.step, row.fault) for row in matrix_page.rows()] == COMBINATIONS
    assert set(COMBINATIONS) >= QUICK
    assert matrix_page.head_of_page() == matrix_page.head()
