"""What counting and logging cost a bulk fetch, as a share of its CPU time.

Pairs in turn, each fetch in a process of its own, the server in another: what the machine does besides hits both alike.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median

from tg_pipeline_tests.bench.children import measured
from tg_pipeline_tests.bench.local_telegram import ChatSpec, serving
from tg_pipeline_tests.bench.report import Aim, Group, Row, Table

PAIRS = 15
SHARE = 0.03
CHAT = ChatSpec("busy", 1_013, 50)
QUICK_CHAT = ChatSpec("busy", 101, 2)


def measure(*, quick: bool) -> Group:
    """The median of the pairs' ratios."""
    chat, pairs = (QUICK_CHAT, 1) if quick else (CHAT, PAIRS)
    cpu: dict[str, list[float]] = {"observed": [], "unobserved": []}
    with serving([chat]) as telegram, _pushgateway() as url:
        measured("unobserved", telegram, chat, 2)  # so that the server has made every message once
        for number in range(pairs):
            for what in sorted(cpu, reverse=bool(number % 2)):
                cpu[what].append(measured(what, telegram, chat, 2, url)["cpu_seconds"])
    ratios = sorted(one / other for one, other in zip(*cpu.values(), strict=True))
    middle = median(ratios)
    row: Row = {
        "messages": chat.messages,
        "pairs": pairs,
        "CPU s unobserved": median(cpu["unobserved"]),
        "observed / unobserved": middle,
        "least / least": min(cpu["observed"]) / min(cpu["unobserved"]),
        "second least": ratios[min(1, pairs - 1)],
        "second most": ratios[max(-2, -pairs)],
    }
    note = "CPU of a fetch with metrics kept and pushed and JSON lines from INFO on, over one with neither."
    aim = f"less than {SHARE:.0%} more CPU"
    return Group([Table("observability", note, [row])], [Aim(aim, middle - 1, met=middle - 1 < SHARE)])


@contextmanager
def _pushgateway() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
