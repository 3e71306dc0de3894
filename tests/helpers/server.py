"""A server on this machine whose answers a test writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

LOGIN = b"<!DOCTYPE html>\n<html><title>Welcome to the hotel</title></html>"


@dataclass(frozen=True)
class Answer:
    """What is sent: with ``length`` other than the body's, the connection ends early or late."""

    body: bytes
    length: int | None = None
    """None: the body's."""
    kind: str = "application/octet-stream"
    code: int = 200
    stalls: bool = False
    """After the body nothing comes, and the connection stays."""


class Server:
    """Gives each path its answers in turn, the last one for ever; ``asked`` lists the paths."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[str] = []
        self.sent = Event()
        """A body has been sent."""
        self.ends = Event()

    def give(self, name: str, *answers: Answer | bytes) -> str:
        """Set the answers for a name, and return its URL."""
        self.answers[name] = [a if isinstance(a, Answer) else Answer(a) for a in answers]
        return self.url + name


@contextmanager
def serving() -> Iterator[Server]:
    """A server while the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            server.asked.append(name)
            answers = server.answers.get(name, [Answer(b"", code=404)])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            length = len(answer.body) if answer.length is None else answer.length
            self.send_response(answer.code)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(answer.body)
            server.sent.set()
            if answer.stalls:
                server.ends.wait()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server = Server(f"http://127.0.0.1:{http.server_port}/")
    Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.ends.set()
        http.shutdown()
        http.server_close()
