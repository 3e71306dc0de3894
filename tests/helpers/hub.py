"""A model hub on this machine, with as much of its HTTP interface as fetching and pushing need."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Repositories by name, each a mapping of paths to bytes."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.url = ""

    def commit(self, name: str, body: bytes) -> None:
        """Lines of JSON: a header, files in base64, deletions."""
        for line in body.decode().splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                content = base64.b64decode(entry["value"]["content"])
                self.repositories[name][entry["value"]["path"]] = content


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        path = self.path.split("?")[0].strip("/")
        if path.startswith("api/models/"):
            return self._about("/".join(path.split("/")[2:4]), tree="/tree/" in path)
        user, name, _, _, *rest = path.split("/")
        data = self.hub.repositories.get(f"{user}/{name}", {}).get("/".join(rest))
        if data is None:
            return self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        headers = {"ETag": f'"{_digest(data)}"', "X-Repo-Commit": COMMIT}
        return self._answer(200, data, headers)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.split("?")[0].strip("/")
        name = "/".join(path.split("/")[2:4])
        if path == "api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name'].split('/')[-1]}"
            self.hub.repositories.setdefault(name, {})
            self._tell({"url": f"{self.hub.url}/{name}", "id": name, "name": name})
        elif "/preupload/" in path:
            files = [file["path"] for file in json.loads(body)["files"]]
            how = {"uploadMode": "regular", "shouldIgnore": False}
            self._tell({"files": [{"path": file, **how} for file in files]})
        elif "/commit/" in path:
            self.hub.commit(name, body)
            url = f"{self.hub.url}/{name}/commit/{COMMIT}"
            self._tell({"commitUrl": url, "commitOid": COMMIT, "success": True})
        else:
            self._tell({})

    def _about(self, name: str, *, tree: bool) -> None:
        files = self.hub.repositories.get(name)
        if files is None:
            return self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if tree:
            entries = sorted(files.items())
            return self._tell(
                [
                    {"type": "file", "path": file, "size": len(data), "oid": _digest(data)}
                    for file, data in entries
                ]
            )
        siblings = [{"rfilename": file} for file in files]
        told = {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings, "tags": []}
        return self._tell({**told, "private": False, "downloads": 0})

    def _tell(self, data: Any) -> None:
        self._answer(200, json.dumps(data).encode())

    def _answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for key, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _digest(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@contextmanager
def hub_here() -> Iterator[Hub]:
    """Runs as long as the block does."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, daemon=True).start()
        yield hub
        server.shutdown()
