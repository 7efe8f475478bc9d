"""An S3 endpoint that misbehaves as some do: what no real server can be made to show.

It speaks TLS, as boto3 sends bodies in chunks with trailing checksums (aws-chunked) over TLS only.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trustme

Body = Callable[[bytes], bytes]
"""What an endpoint makes of a body before it stores it."""


def as_sent(body: bytes) -> bytes:
    return body


@dataclass
class Endpoint:
    """stores: what becomes of a body. refuses_chunks: such bodies are answered with 501.
    random_etags: ETags are no MD5. is_fetched: an object is gone once it's there.
    """

    stores: Body = as_sent
    refuses_chunks: bool = False
    random_etags: bool = False
    is_fetched: bool = False
    url: str = ""
    ca_file: Path = Path()
    objects: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def etag(self, content: bytes) -> str:
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return f'"{digest[::-1] if self.random_etags else digest}"'

    @contextmanager
    def running(self, folder: Path) -> Iterator[Endpoint]:
        authority = trustme.CA()
        self.ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _handler(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            endpoint.requests.append(f"{self.command} {self.path}")

        def do_PUT(self) -> None:
            key, query = self._asked_for()
            body = self._body()
            if endpoint.refuses_chunks and "aws-chunked" in self.headers.get(
                "Content-Encoding", ""
            ):
                self._refuse(501, "NotImplemented", "A header you provided implies functionality")
            elif "partNumber" in query:
                parts = endpoint.uploads[query["uploadId"][0]]
                parts[int(query["partNumber"][0])] = endpoint.stores(body)
                self._answer(200, headers={"ETag": endpoint.etag(body)})
            elif key in endpoint.objects:
                self._refuse(412, "PreconditionFailed", "exists")
            else:
                self._store(key, endpoint.stores(body))
                self._answer(200, headers={"ETag": endpoint.etag(body)})

        def do_POST(self) -> None:
            key, query = self._asked_for()
            self._body()
            if "uploads" in query:
                endpoint.uploads["u1"] = {}
                self._remember(key)
                self._answer(200, _xml("InitiateMultipartUploadResult", UploadId="u1"))
            elif key in endpoint.objects:
                self._refuse(412, "PreconditionFailed", "exists")
            else:
                parts = endpoint.uploads.pop(query["uploadId"][0])
                endpoint.objects[key] = b"".join(parts[number] for number in sorted(parts))
                self._answer(200, _xml("CompleteMultipartUploadResult", Key=key))

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            key, _ = self._asked_for()
            if "/" not in key:
                self._answer(200)
            elif key not in endpoint.objects:
                self._refuse(404, "NoSuchKey", "isn't there")
            else:
                content = endpoint.objects[key]
                headers = {"ETag": endpoint.etag(content)}
                headers["x-amz-meta-sha256"] = endpoint.metadata.get(key, "")
                span = self.headers.get("Range")
                if span:
                    first, last = map(int, span.removeprefix("bytes=").split("-"))
                    headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
                    content = content[first : last + 1]
                self._answer(206 if span else 200, content, headers)

        def do_DELETE(self) -> None:
            key, _ = self._asked_for()
            endpoint.objects.pop(key, None)
            self._answer(204)

        def _asked_for(self) -> tuple[str, dict[str, list[str]]]:
            parts = urlsplit(self.path)
            return parts.path.lstrip("/"), parse_qs(parts.query, keep_blank_values=True)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "") == "chunked":
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _remember(self, key: str) -> None:
            endpoint.metadata[key] = self.headers.get("x-amz-meta-sha256", "")

        def _store(self, key: str, content: bytes) -> None:
            self._remember(key)
            if not endpoint.is_fetched:
                endpoint.objects[key] = content

        def _refuse(self, status: int, code: str, message: str) -> None:
            self._answer(status, _xml("Error", Code=code, Message=message))

        def _answer(
            self, status: int, content: bytes = b"", headers: dict[str, str] | None = None
        ) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    return Handler


def _xml(name: str, **fields: Any) -> bytes:
    inner = "".join(f"<{key}>{value}</{key}>" for key, value in fields.items())
    return f"<{name}>{inner}</{name}>".encode()
