"""Logins in addresses, taken out of messages: libraries' errors repeat the URL that they called."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["without_logins"]

_LOGIN: Final = re.compile(r"(://)[^\s/'\"<>]*:[^\s/'\"<>]*@")
"""`user:password@` of a URL (RFC 3986, 3.2.1). A user alone, as in sftp://us@host, is no secret."""


def without_logins(text: str) -> str:
    """A text with `***` in place of the user and password of each URL in it."""
    return _LOGIN.sub(r"\1***@", text) if "://" in text else text
