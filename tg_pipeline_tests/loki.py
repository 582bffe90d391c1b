"""A Loki within the test's process: it takes lines, refuses them, or does not answer."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Loki:
    """`status` is what it answers; while `silent` is set it answers nobody. `pushes` counts what it was asked."""

    url: str = ""
    status: int = 204
    pushes: int = 0
    streams: list[dict[str, Any]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    silent: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def lines(self) -> list[str]:
        return [line for stream in self.streams for _, line in stream["values"]]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@contextmanager
def loki() -> Iterator[Loki]:
    """It listens while the block runs."""
    found = Loki()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.pushes += 1
            found.headers = {key.lower(): value for key, value in self.headers.items()}
            if found.silent.is_set():
                found.ended.wait()
                return
            if found.status == 204 and self.path == "/loki/api/v1/push":
                found.streams += json.loads(body)["streams"]
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that went away is what these tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        found.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
