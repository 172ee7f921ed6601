"""A server that serves files as PhysioNet does, ranges included, and can be told to misbehave."""

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Serves `files` (path -> bytes) below /files/DATABASE/ with their SHA256SUMS.txt; a context manager.

    drop: path -> bytes after which its transfers break off, one entry a transfer; wrong: path -> what is served in its place; gone: paths
    that are listed and not there; ranges: False for a server that sends all whatever is asked for; asked: (path, first byte) of requests.
    """

    def __init__(self, database, files):
        self.database, self.files = database, dict(files)
        self.drop, self.wrong, self.gone, self.busy = {}, {}, set(), {}
        self.ranges, self.sums, self.status = True, True, None
        self.asked = []

    def __enter__(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.answer(self)

            def log_message(self, *words):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # a client that hangs up is what some tests are about
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/files/"
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def content(self, path):
        if path == "SHA256SUMS.txt" and self.sums:
            return "".join(f"{hashlib.sha256(d).hexdigest()} {p}\n" for p, d in self.files.items()).encode()
        return None if path in self.gone else self.wrong.get(path, self.files.get(path))

    def answer(self, request):
        path = request.path.removeprefix(f"/files/{self.database}/")
        found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", "")) if self.ranges else None
        start = int(found[1]) if found else 0
        self.asked.append((path, start))
        data = self.content(path)
        status = self.status or (
            503 if self.busy.get(path) else 404 if data is None else 206 if found else 200
        )
        if self.busy.get(path):
            self.busy[path] -= 1
        if status == 206 and start >= len(data):
            status = 416
        body = data[start:] if status in (200, 206) else b""
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        if status == 206:
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if status == 416:
            request.send_header("Content-Range", f"bytes */{len(data)}")
        request.end_headers()
        stop = self.drop[path].pop(0) if self.drop.get(path) and body else None
        request.wfile.write(body[:stop])
        if stop is not None:
            request.wfile.flush()
            request.close_connection = True
            request.connection.shutdown(2)
