"""File operations on an FTPS server, by libcurl; each operation is a transfer of one handle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from sinks.locations.base import DeliveryError, DeliveryStep, PassingError
from sinks.locations.limits import Limit
from sinks.locations.local import Comparison

if TYPE_CHECKING:
    import pycurl

__all__ = ["FtpsSession"]

_NOT_FOUND: Final = 78  # CURLE_REMOTE_FILE_NOT_FOUND
_SLOWEST: Final = 64 * 1024
"""Bytes per second: a transfer that is slower on average is cut, and the next attempt continues it.
libcurl's other limits don't apply during the TLS handshake of a data connection (8.23), which could
wait for ever.
"""
_TIMED_OUT: Final = 28  # CURLE_OPERATION_TIMEDOUT
_STEPS: Final[Mapping[int, DeliveryStep]] = {
    **dict.fromkeys((5, 6, 7, 8, 12), DeliveryStep.CONNECT),
    **dict.fromkeys((35, 53, 54, 58, 59, 60, 64, 66, 77, 80, 83, 90, 91, 98), DeliveryStep.TRUST),
    67: DeliveryStep.LOGIN,
}
"""libcurl's error codes (CURLE_…) for the steps before writing."""
_PASSING: Final = frozenset({6, 7, 8, 12, 13, 18, 28, 30, 35, 52, 55, 56, 81, 89})
"""libcurl's error codes after which another attempt may succeed."""


@dataclass(slots=True)
class FtpsSession:
    """See Session. The handle reuses its connection for all commands."""

    curl: pycurl.Curl
    url: str
    server: str
    options: Mapping[int, object]
    timeout: float  # seconds without an answer of the server
    limit: Limit
    answers: list[str] = field(default_factory=list)  # the server's answers to the last command

    def log_in(self) -> None:
        """Connect, verify the server, and log in."""
        import pycurl

        self._do("", DeliveryStep.CONNECT, {pycurl.NOBODY: 1})

    def size(self, path: str) -> int | None:
        """See Session.size."""
        import pycurl

        try:
            self._do(path, DeliveryStep.WRITE, {pycurl.NOBODY: 1}, of_file=True)
        except _NotFoundError:
            return None
        length = int(self.curl.getinfo(pycurl.CONTENT_LENGTH_DOWNLOAD_T))
        if length < 0:
            raise DeliveryError(
                "the server doesn't tell whether a file is there (SIZE, RFC 3659)",
                where=f"{self.server}/{path.lstrip('/')}",
                hint="without it a file could be overwritten: ask its owner to allow SIZE",
            )
        return length

    def begins(self, path: str, local: Path) -> bool:
        """See Session.begins."""
        import pycurl

        with Comparison(local) as comparison:
            same = True

            def take(piece: bytes) -> int | None:
                nonlocal same
                same = comparison.goes_on(piece)
                return None if same else 0

            try:
                options = {pycurl.WRITEFUNCTION: take}
                moved = local.stat().st_size
                self._do(path, DeliveryStep.WRITE, options, of_file=True, moved=moved)
            except DeliveryError:
                if same:
                    raise
            return same

    def holds(self, path: str, start: int, expected: bytes) -> bool:
        """See Session.holds."""
        import pycurl

        found = bytearray()

        def take(piece: bytes) -> int | None:
            found.extend(piece)
            return None if len(found) <= len(expected) else 0

        span = f"{start}-{start + len(expected) - 1}"
        options = {pycurl.WRITEFUNCTION: take, pycurl.RANGE: span}
        self._do(path, DeliveryStep.WRITE, options, of_file=True, moved=len(expected))
        return bytes(found) == expected

    def make_folder(self, path: str) -> None:
        """See Session.make_folder; the * makes libcurl ignore the command's failure."""
        self._command(path, DeliveryStep.WRITE, f"*MKD {path}")

    def write(self, local: Path, path: str, start: int) -> None:
        """See Session.write."""
        import pycurl

        with local.open("rb") as source:
            source.seek(start)
            moved = local.stat().st_size - start
            options = {
                pycurl.UPLOAD: 1,
                pycurl.READDATA: source,
                pycurl.APPEND: int(start > 0),
                pycurl.INFILESIZE_LARGE: moved,
            }
            self._do(path, DeliveryStep.WRITE, options, of_file=True, moved=moved)

    def rename(self, source: str, target: str) -> None:
        """See Session.rename."""
        self._command(target, DeliveryStep.RENAME, f"RNFR {source}", f"RNTO {target}")

    def remove(self, path: str) -> None:
        """See Session.remove."""
        if self.size(path) is not None:
            self._command(path, DeliveryStep.DELETE, f"DELE {path}")

    def _command(self, path: str, step: DeliveryStep, *commands: str) -> None:
        import pycurl

        self._do(path, step, {pycurl.NOBODY: 1, pycurl.QUOTE: list(commands)})

    def _do(
        self,
        path: str,
        step: DeliveryStep,
        options: Mapping[int, object],
        *,
        of_file: bool = False,
        moved: int = 0,
    ) -> None:
        """Do one transfer, of `moved` bytes at most; raises the DeliveryError for its failure."""
        import pycurl

        self.answers.clear()
        self.curl.reset()
        ignore: Callable[[bytes], None] = lambda piece: None  # noqa: E731
        url = self.url + (quote(f"/{path}" if path.startswith("/") else path) if of_file else "")
        slowest = 5 * self.timeout + moved / _SLOWEST
        defaults = {
            pycurl.WRITEFUNCTION: ignore,
            pycurl.HEADERFUNCTION: self._hear,
            pycurl.TIMEOUT_MS: round(1000 * min(self.limit.left(), slowest)) + 1,
        }
        for option, value in {**self.options, **defaults, **options, pycurl.URL: url}.items():
            self.curl.setopt(option, value)
        try:
            self.curl.perform()
        except pycurl.error as error:
            code, message = error.args
            raise self._error(int(code), str(message), path, step) from error

    def _hear(self, line: bytes) -> None:
        self.answers.append(line.decode("utf-8", errors="replace").strip())

    def _error(self, code: int, message: str, path: str, step: DeliveryStep) -> DeliveryError:
        where = f"{self.server}/{path.lstrip('/')}" if path else self.server
        if code == _NOT_FOUND:
            return _NotFoundError("isn't there", where=where, step=step)
        step = _STEPS.get(code, step)
        answer = self.answers[-1] if self.answers and self.answers[-1][:1] in "45" else ""
        reason = f"{message} ({answer})" if answer else message
        kind = PassingError if code in _PASSING else DeliveryError
        return kind(
            f"{_WHAT.get(code, f'the server refused to {step}')}: {reason}",
            where=where,
            hint=_HINTS[step],
            step=step,
        )


class _NotFoundError(DeliveryError):
    """The server has no such file."""


_WHAT: Final[Mapping[int, str]] = {
    **dict.fromkeys((5, 6, 7), "can't be reached"),
    **dict.fromkeys((8, 12, 13), "the server doesn't answer as it should"),
    **dict.fromkeys((18, 52, 55, 56), "the connection was cut"),
    **dict.fromkeys((35, 60, 64, 77, 80, 83, 90, 91), "the server isn't trusted"),
    _TIMED_OUT: "the server hangs",
    67: "the login was refused",
}
_HINTS: Final[Mapping[DeliveryStep, str]] = {
    DeliveryStep.CONNECT: "check host and port, and the firewalls between",
    DeliveryStep.TRUST: (
        "check its certificate, and the ca_file that vouches for it; nothing was sent"
    ),
    DeliveryStep.LOGIN: "check username and password",
    DeliveryStep.WRITE: "check that the login may write there, and the space on the server's disk",
    DeliveryStep.RENAME: "where renaming is forbidden, set rename: false and a ready_file",
    DeliveryStep.DELETE: "check that the login may delete there",
}
