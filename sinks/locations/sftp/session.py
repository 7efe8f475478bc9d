"""File operations on an SFTP server after the login."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sinks.locations.base import DeliveryError, DeliveryStep, PassingError
from sinks.locations.local import Comparison
from sinks.locations.settings import UNSEEN

if TYPE_CHECKING:
    import paramiko

__all__ = ["SftpSession"]

_PIECE: Final = 32 * 1024
"""Every server must accept packets of this size (draft-ietf-secsh-filexfer-02, section 3)."""
_READ_AHEAD: Final = 64
"""Pieces that are requested before the first has arrived."""


@dataclass(frozen=True, slots=True)
class SftpSession:
    """See Session."""

    client: paramiko.SFTPClient
    server: str
    timeout: float

    def size(self, path: str) -> int | None:
        """See Session.size."""
        with self._explained(path):
            try:
                return self.client.stat(path).st_size or 0
            except FileNotFoundError:
                return None
            except PermissionError as error:
                raise DeliveryError(
                    "the server refused to tell whether a file is there",
                    where=self._at(path),
                    hint=UNSEEN,
                ) from error

    def begins(self, path: str, local: Path) -> bool:
        """See Session.begins."""
        with (
            self._explained(path),
            Comparison(local) as comparison,
            self.client.open(path) as there,
        ):
            there.prefetch(max_concurrent_requests=_READ_AHEAD)
            same = True
            while piece := there.read(_PIECE):  # to the end, as all pieces are requested already
                same = same and comparison.goes_on(piece)
            return same

    def holds(self, path: str, start: int, expected: bytes) -> bool:
        """See Session.holds."""
        with self._explained(path), self.client.open(path) as there:
            there.seek(start)
            return there.read(len(expected)) == expected

    def make_folder(self, path: str) -> None:
        """See Session.make_folder."""
        with self._explained(path):
            try:
                self.client.mkdir(path)
            except (TimeoutError, ConnectionError):
                raise
            except OSError as error:
                if "closed" in str(error):
                    raise

    def write(self, local: Path, path: str, start: int) -> None:
        """See Session.write."""
        with self._explained(path), local.open("rb") as source:
            source.seek(start)
            with self.client.open(path, "r+b" if start else "wb") as there:
                there.seek(start)
                piece = source.read(_PIECE)
                while piece:
                    following = source.read(_PIECE)
                    # The last piece isn't pipelined: its write waits for the answers to all pieces,
                    # and checks them. Closing the file wouldn't report a refused piece.
                    there.set_pipelined(bool(following))
                    there.write(piece)
                    piece = following

    def rename(self, source: str, target: str) -> None:
        """See Session.rename."""
        with self._explained(target, DeliveryStep.RENAME):
            self.client.rename(source, target)

    def remove(self, path: str) -> None:
        """See Session.remove."""
        with self._explained(path, DeliveryStep.DELETE):
            try:
                self.client.remove(path)
            except FileNotFoundError:
                return

    def _at(self, path: str) -> str:
        return f"{self.server}/{path.lstrip('/')}"

    @contextmanager
    def _explained(self, path: str, step: DeliveryStep = DeliveryStep.WRITE) -> Iterator[None]:
        """Translate errors of the server and the connection to DeliveryError or PassingError."""
        import paramiko

        where = self._at(path)
        try:
            yield
        except TimeoutError as error:
            what = f"the server hasn't answered within {self.timeout:g} s"
            raise PassingError(what, where=where, step=step) from error
        except (EOFError, ConnectionError, paramiko.SSHException) as error:
            what = f"the connection was cut: {str(error) or 'the server closed it'}"
            raise PassingError(what, where=where, step=step) from error
        except OSError as error:
            if "closed" in str(error):
                what = f"the connection was cut: {error}"
                raise PassingError(what, where=where, step=step) from error
            raise DeliveryError(
                f"the server refused to {step}: {error.strerror or error}",
                where=where,
                hint="check that the login may write there, and the space on the server's disk",
                step=step,
            ) from error
