#!/usr/bin/env python3
"""Check delivered files against their manifests, with Python's standard library alone.

For receivers who don't have deltadrop:  python3 verify.py FILE [FILE…]
Size, SHA-256, header and rows of each FILE are compared with FILE.manifest.json beside it.
Exit code: 0 all are as their manifests say, 1 one isn't, 2 a file or a manifest can't be read.
"""

import csv
import gzip
import hashlib
import io
import json
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

SPOILT = (csv.Error, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, EOFError, LookupError)


def differences(file: Path) -> list[str]:
    """Say what isn't as the manifest says."""
    manifest = json.loads(file.with_name(f"{file.name}.manifest.json").read_text("utf-8"))
    stated = manifest["file"]
    if stated is None:  # an empty window whose file was skipped
        return ["is there, though its manifest says that it was skipped"] * file.exists()
    digest = hashlib.sha256()
    with file.open("rb") as raw:
        while piece := raw.read(1 << 20):
            digest.update(piece)
    found = [f"{file.stat().st_size} bytes", f"SHA-256 {digest.hexdigest()}"]
    try:
        with unpacked(file, stated) as content:
            text = io.TextIOWrapper(content, "utf-8", newline="")
            lines = csv.reader(text, delimiter=manifest["dialect"]["separator"], strict=True)
            found += [f"header {next(lines, [])}", f"{sum(1 for _ in lines)} rows"]
    except (*SPOILT, UnicodeDecodeError) as error:
        found += [f"content that can't be read ({error})", "? rows"]
    headers = [column["header"] for column in manifest["columns"]]
    wanted = [f"{stated['bytes']} bytes", f"SHA-256 {stated['sha256']}", f"header {headers}"]
    pairs = zip(found, [*wanted, f"{stated['rows']} rows"], strict=True)
    return [f"{a}, the manifest says {b}" for a, b in pairs if a != b]


def unpacked(file: Path, stated: Any) -> Any:
    """Open the CSV within a file."""
    if stated["compression"] == "zip":
        return zipfile.ZipFile(file).open(stated["inner_name"])
    return gzip.open(file) if stated["compression"] == "gzip" else file.open("rb")


if __name__ == "__main__":
    code = 0 if sys.argv[1:] else sys.exit(__doc__)
    csv.field_size_limit(sys.maxsize)
    for name in sys.argv[1:]:
        try:
            wrong = differences(Path(name))
            code = max(code, int(bool(wrong)))
        except (OSError, ValueError, LookupError, TypeError) as error:
            wrong, code = [f"can't be checked: {error}"], 2
        print(*(f"{name}: {line}" for line in wrong or ["as its manifest says"]), sep="\n")
    sys.exit(code)
