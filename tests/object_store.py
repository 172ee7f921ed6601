"""A real server that speaks S3's protocol, in a process of its own, and a proxy before it that does what object stores do on bad days."""

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3

#: What every process that speaks to the server finds in its environment; AWS's own metadata service is not asked.
KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test-secret",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_DEFAULT_REGION": "us-east-1",
}

#: Headers of one connection, which a proxy does not hand on.
_OWN = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect"}

SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


@dataclass(frozen=True)
class Fault:
    """What becomes of a request: answered with `status`; or answered after `stall` seconds; or (`cut`) cut off after so many bytes of the
    answer's body; or (`drop`) cut off before the request's body is read. applied: done by the server all the same, and only the answer is lost.
    """

    status: int = 0
    body: bytes = SLOW_DOWN
    stall: float = 0.0
    cut: int | None = None
    drop: bool = False
    applied: bool = False


@dataclass
class Request:
    """What the proxy saw: method, path with query, headers in lower case."""

    method: str
    path: str
    headers: dict[str, str]


Choose = Callable[[Request], Fault | None]


@dataclass
class Proxy:
    """Between a client and the server at `target` (host:port). fault: asked for every request, None: passed on. seen: all requests."""

    target: str
    fault: Choose = lambda request: None
    seen: list[Request] = field(default_factory=list)
    port: int = 0
    _server: ThreadingHTTPServer | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def uri(self, name: str) -> str:
        """A folder of the bucket, its address in the URI."""
        return f"s3://clef/{name}?scheme=http&endpoint_override={self.address}&region=us-east-1"

    def up(self) -> None:
        """On the same port as before."""
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = _Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Connections are cut, and refused from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.cut()
            self._server = None

    def times(self, n: int, fault: Fault, where: Callable[[Request], bool] = lambda request: True) -> None:
        """The next n requests that `where` picks meet `fault`; all others pass."""
        left, lock = [n], threading.Lock()

        def choose(request: Request) -> Fault | None:
            with lock:
                if left[0] == 0 or not where(request):
                    return None
                left[0] -= 1
                return fault

        self.fault = choose


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.open: set[socket.socket] = set()

    def process_request(self, request: socket.socket, client_address: object) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        for connection in tuple(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is nothing to tell."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Proxy

    def _serve(self) -> None:
        request = Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
        self.owner.seen.append(request)
        fault = self.owner.fault(request)
        if fault is not None and fault.drop:
            self._cut()
            return
        body = self._body()
        if fault is None or fault.cut is not None or fault.applied or fault.stall:
            if fault is not None and fault.stall:
                time.sleep(fault.stall)
            status, headers, answer = self._ask(body)
            if fault is None or fault.stall:
                self._answer(status, headers, answer)
            elif fault.cut is not None:
                self._answer(status, headers, answer, fault.cut)
                self._cut()
            else:
                self._cut()
        else:
            self._answer(fault.status, [("Content-Type", "application/xml")], fault.body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(pieces)

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = HTTPConnection(self.owner.target, timeout=60)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _OWN}
        headers["Content-Length"] = str(len(body))
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        told = [(k, v) for k, v in answer.getheaders() if k.lower() not in _OWN]
        if self.command == "HEAD":
            told.append(("Content-Length", answer.getheader("Content-Length") or "0"))
        connection.close()
        return answer.status, told, content

    def _answer(
        self, status: int, headers: list[tuple[str, str]], body: bytes, cut: int | None = None
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:cut])

    def _cut(self) -> None:
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # a reset
        self.connection.close()
        self.close_connection = True


@contextmanager
def s3_server() -> Iterator[str]:
    """The address (host:port) of an empty server with one bucket, `clef`, in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", address.rpartition(":")[2]]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            assert process.poll() is None, "the S3 server ended"
            try:
                urllib.request.urlopen(f"http://{address}/moto-api/", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        client(address).create_bucket(Bucket="clef")
        yield address
    finally:
        process.kill()
        process.wait(10)


def client(address: str):
    """Amazon's own library, to look at what is there."""
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test-secret", "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=f"http://{address}", **keys)


@contextmanager
def proxy_of(address: str) -> Iterator[Proxy]:
    """A proxy before the server that is up, and passes everything on."""
    proxy = Proxy(address)
    proxy.up()
    try:
        yield proxy
    finally:
        proxy.down()


@contextmanager
def keys() -> Iterator[None]:
    """The server's keys in this process's environment, and in those that it starts."""
    before = {name: os.environ.get(name) for name in KEYS}
    os.environ.update(KEYS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
