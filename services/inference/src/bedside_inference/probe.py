"""One plain HTTP request to our own engine or gateway; never through a proxy."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


@contextmanager
def ask(
    where: str | Path,
    path: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 5,
) -> Iterator[http.client.HTTPResponse]:
    """The answer to one request, POST if there is a body.

    Args:
        where: a URL (scheme, host and port), or a Unix socket.
        path: the request's target.
        body: JSON.
        headers: further request headers.
        timeout: longest silence in seconds.

    Raises:
        OSError: no connection, or it broke.
        http.client.HTTPException: the answer is not HTTP.
    """
    connection: http.client.HTTPConnection
    if isinstance(where, Path):
        connection = UnixConnection(where, timeout)
    else:
        address = urlsplit(where)
        connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=timeout
        )
    sent = {"Content-Type": "application/json"} if body is not None else {}
    with closing(connection):
        connection.request(
            "GET" if body is None else "POST", path, body, {**sent, **(headers or {})}
        )
        # Closed by itself: a connection that ends with its answer has given it the socket.
        with connection.getresponse() as answer:
            yield answer
