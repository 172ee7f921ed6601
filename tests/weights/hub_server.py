"""A hub small enough to read: what huggingface_hub asks of huggingface.co to make a model, write files to it and fetch them."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

SECRET = "hf_of_the_test"


class Hub(ThreadingHTTPServer):
    """models: name -> revision -> file -> content; private: models that only the token opens."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.models, self.private, self.asked = {}, set(), []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_):
        pass

    def answer(self, status, content=b"", **headers):
        body = json.dumps(content).encode() if not isinstance(content, bytes) else content
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def known(self):
        return self.headers.get("Authorization") == f"Bearer {SECRET}"

    def do_GET(self):
        self.server.asked.append((self.command, self.path))
        found = re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/([\w.-]+)/(.+)", self.path)
        model = self.server.models.get(found[1]) if found else None
        if model is None or (found[1] in self.server.private and not self.known()):
            return self.answer(401, {"error": "x"}, X_Error_Code="RepoNotFound")
        if found[2] not in model:
            return self.answer(404, {"error": "x"}, X_Error_Code="RevisionNotFound")
        content = model[found[2]].get(found[3])
        if content is None:
            return self.answer(404, {"error": "x"}, X_Error_Code="EntryNotFound")
        commit = hashlib.sha1(content).hexdigest()
        return self.answer(200, content, ETag=f'"{commit}"', X_Repo_Commit=commit)

    do_HEAD = do_GET

    def do_POST(self):
        self.server.asked.append((self.command, self.path))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.known():
            return self.answer(401, {"error": "Invalid username or password."})
        if self.path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            self.server.models.setdefault(name, {"main": {}})
            if asked.get("private") or asked.get("visibility") == "private":
                self.server.private.add(name)
            return self.answer(200, {"url": f"{self.server.url}/{name}"})
        found = re.fullmatch(
            r"/api/models/([\w.-]+/[\w.-]+)/(preupload|commit)/([\w.-]+)(?:\?.*)?", self.path
        )
        if found is None or found[3] not in self.server.models[found[1]]:
            return self.answer(404, {"error": "x"}, X_Error_Code="RevisionNotFound")
        if found[2] == "preupload":
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                for f in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": files})
        for line in body.decode().splitlines():
            said = json.loads(line)
            if said["key"] == "file":
                value = said["value"]
                self.server.models[found[1]][found[3]][value["path"]] = base64.b64decode(value["content"])
        commit = f"{self.server.url}/{found[1]}/commit/0123456789abcdef"
        return self.answer(200, {"success": True, "commitOid": "0123456789abcdef", "commitUrl": commit})


@contextmanager
def serve() -> Iterator[Hub]:
    hub = Hub()
    thread = Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        thread.join()
        hub.server_close()
