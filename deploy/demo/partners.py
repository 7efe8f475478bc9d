"""The receivers of the demo's drops: an S3 endpoint, an SFTP server, and a mailbox for reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from deploy.demo.workspace import Workspace
from deploy.parts.errors import PartError
from deploy.parts.gateway import running_gateway
from deploy.parts.ports import HOST, free_port
from deploy.parts.sshd import running_sshd

__all__ = ["Mailbox", "Partners", "running_partners"]

_BUCKET: Final = "drops"
_DELIVERIES: Final[Mapping[str, tuple[str, ...]]] = {
    "emails-sent": ("lake",),
    "emails-clicks": ("lake", "agency"),
    "profiles-created": ("lake", "agency"),
    "purchases": ("agency",),
}
"""The locations of some exports, in addition to the transferbox."""


@dataclass(slots=True)
class Mailbox:
    """A mail server's only mailbox."""

    messages: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Accept a mail (aiosmtpd requires this name)."""
        message = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        return "250 OK"

    def about(self, text: str) -> EmailMessage | None:
        """The latest mail with this text in its subject; None if there is none."""
        found = [message for message in self.messages if text in str(message["Subject"])]
        return found[-1] if found else None


@dataclass(frozen=True, slots=True)
class Partners:
    """The folders of the running partners, by descriptions, and the mailbox."""

    folders: Mapping[str, Path]
    mailbox: Mailbox

    def show(self, text: str) -> None:
        """Print the partners' files with their bytes, and the mail with `text` in its subject."""
        for what, folder in self.folders.items():
            print(f"\nWhat {what} has:\n")
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                print(f"  {file.stat().st_size:>12,}  {file.relative_to(folder)}")
        message = self.mailbox.about(text)
        if message is not None:
            print(f"\nOne of the {len(self.mailbox.messages)} report mails:\n")
            _print(message)


@contextmanager
def running_partners(workspace: Workspace, say: Callable[[str], object]) -> Iterator[Partners]:
    """Run the partners, and deliver some exports of the workspace to them.

    A partner whose server isn't available is reported by `say`, and gets no deliveries.
    """
    home = (workspace.folder / "partners").resolve()
    home.mkdir()
    folders: dict[str, Path] = {}
    locations: dict[str, dict[str, Any]] = {}
    with ExitStack() as running:
        for name, start in {"lake": _lake, "agency": _agency}.items():
            try:
                what, folder, locations[name] = start(home / name, running)
            except PartError as error:
                say(f"without {name}: {error}")
            else:
                folders[f"{name}, {what},"] = folder
        mailbox, port = Mailbox(), free_port()
        server = Controller(mailbox, hostname=HOST, port=port)
        server.start()
        running.callback(server.stop)
        workspace.add(locations=locations, mail={"host": HOST, "port": port, "security": "none"})
        for export, names in _DELIVERIES.items():
            workspace.deliver(export, ["transferbox", *(n for n in names if n in locations)])
        yield Partners(folders, mailbox)


def _lake(home: Path, running: ExitStack) -> tuple[str, Path, dict[str, Any]]:
    server = running.enter_context(running_gateway(home))
    bucket = server.directory / _BUCKET
    bucket.mkdir()
    settings: dict[str, Any] = {"kind": "s3", "bucket": _BUCKET, "endpoint": server.url}
    for name, secret in {"access_key": server.access_key, "secret_key": server.secret_key}.items():
        file = home / name
        file.touch(mode=0o600)
        file.write_text(secret, encoding="utf-8")
        settings[f"{name}_file"] = str(file)
    return "a bucket on S3", bucket, settings


def _agency(home: Path, running: ExitStack) -> tuple[str, Path, dict[str, Any]]:
    server = running.enter_context(running_sshd(home))
    settings = {
        "kind": "sftp",
        "host": HOST,
        "port": server.port,
        "username": server.jail.user,
        "key_file": str(server.key),
        "known_hosts": str(server.known_hosts),
        "ready_file": ".ready",
    }
    return "a folder on SFTP", server.home, settings


def _print(message: EmailMessage) -> None:
    for name in ("From", "To", "Subject"):
        print(f"  {name}: {message[name]}")
    body = message.get_body(("plain",))
    assert body is not None
    print()
    for line in body.get_content().splitlines():
        print(f"  {line}".rstrip())
