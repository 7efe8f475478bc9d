"""The interface of channels that send reports, such as a mail server or a webhook, and functions
that they share.
"""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from pathlib import Path
from typing import Any, Protocol

from schemas.errors import ReportError
from schemas.settings.withheld import file_named
from sinks.reports.report import Report

__all__ = [
    "PartlySentError",
    "RefusedError",
    "ReportChannel",
    "UnreachableError",
    "cause_of",
    "reason_of",
    "run_apart",
    "time_limit",
    "trusting",
]


class UnreachableError(ReportError):
    """The receiving server can't be reached or refuses the login; other reports would fail, too."""


class PartlySentError(ReportError):
    """Some recipients have the report, others can't get it now: `recipients` must get it later."""

    def __init__(self, what: str, recipients: tuple[str, ...]) -> None:
        super().__init__(what)
        self.recipients = recipients


class RefusedError(ReportError):
    """Every recipient refuses the report for good."""


class ReportChannel(Protocol):
    """A channel that sends reports.

    A report may be sent twice, as a run can be killed between sending and recording it. Each
    sending therefore carries the report's id, by which a receiver recognises a repeat.
    """

    @property
    def name(self) -> str:
        """The channel's name in the outbox."""

    def wants(self, report: Report) -> bool:
        """Whether the channel has a recipient for a report."""

    def send(self, report: Report) -> None:
        """Send a report; raises ReportError if that fails.

        Of its subclasses, UnreachableError means that other reports would fail as well,
        PartlySentError that only some recipients got it, RefusedError that all refuse it for good.
        """


def trusting(ca_file: Path | None, setting: str) -> ssl.SSLContext:
    """Return a TLS context that trusts the authorities in `ca_file`; without a file, those of the
    system.

    setting: the file's setting, for errors. Raises UnreachableError if the file can't be used.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # also ssl.SSLError, if it isn't a PEM file
        raise UnreachableError(
            f"can't be read: {error.strerror or type(error).__name__}",
            where=file_named(ca_file),
            hint=f"check `{setting}`",
        ) from error


@asynccontextmanager
async def time_limit(seconds: float, *, where: str, hint: str) -> AsyncIterator[None]:
    """Limit the duration of a whole sending, in seconds, however often the server sends something.

    Time-outs of single reads aren't enough: a server that sends a byte now and then would delay the
    closes for ever. A name lookup ends only by the system's own time-outs. Raises UnreachableError
    if the sending takes longer. hint: which setting raises the limit.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        what = f"a sending took longer than {seconds:g} s"
        raise UnreachableError(what, where=where, hint=hint) from error


def run_apart(sending: Coroutine[Any, Any, None]) -> None:
    """Run a sending to its end, in a thread of its own; raises what it raises.

    A report may be sent while another error is handled, which Python would take for the context of
    the sending's errors; contexts end at a thread's beginning. Log lines keep their bound fields.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="report") as pool:
        pool.submit(copy_context().run, asyncio.run, sending).result()


def reason_of(error: BaseException) -> str:
    """Return what an error says; of a file that a setting names, without what may be a secret."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{file_named(Path(error.filename))} can't be read: {error.strerror}"
    return str(error) or type(error).__name__


def cause_of(error: BaseException) -> BaseException:
    """Return the origin of a client library's error: an OSError if the network or TLS failed."""
    while (cause := error.__cause__ or error.__context__) is not None and str(cause):
        error = cause
        if isinstance(error, BaseExceptionGroup):  # one for each address of a host
            error = error.exceptions[0]
    if not isinstance(error, OSError) or isinstance(error, ssl.SSLError) or error.filename:
        return error
    number = error.errno or 0
    # asyncio's text is always "Connect call failed". Errors of name lookup have other numbers.
    return OSError(number, os.strerror(number)) if number in errno.errorcode else error
