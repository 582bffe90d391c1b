"""Log lines to Loki: never waited for, dropped and counted when it does not keep up.

A queue of bounded length, and one thread that empties it. What that thread would log, and what libraries of HTTP log,
goes to the other handlers only: else a line would cause the next one for ever.
"""

import atexit
import base64
import json
import logging
import queue
import threading
import time
from collections import defaultdict
from contextlib import suppress
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx

from tg_pipeline.machine.http import http_client
from tg_pipeline.observability import metrics

QUEUE_LINES = 2_000
BATCH_LINES = 500
BATCH_SECONDS = 1.0
ANSWER_SECONDS = 2.0
"""How long Loki may take to answer."""
PAUSE_SECONDS = 2.0
"""Before the same lines are sent again."""
CLOSE_SECONDS = 3.0
"""At the end of the process, for what is left."""
LABELS = {"service": "tg-pipeline"}
NOT_TOLD = ("httpcore", "httpx", "urllib3", "requests", "opentelemetry", __name__)
REFUSED = range(400, 429)
"""Statuses that the same lines would meet again."""

Line = tuple[int, str, str]
"""Nanoseconds of POSIX time, level, text."""

log = logging.getLogger(__name__)


class LokiHandler(logging.Handler):
    """Sends what its formatter makes of a record to `url`, http(s)://[user:password@]host:port of a Loki."""

    def __init__(self, url: str) -> None:
        super().__init__()
        parts = urlsplit(url)
        login, _, self._host = parts.netloc.rpartition("@")
        self._url = urlunsplit(parts._replace(netloc=self._host)).rstrip("/") + "/loki/api/v1/push"
        self._headers = {"Content-Type": "application/json"}
        if login:
            self._headers["Authorization"] = "Basic " + base64.b64encode(unquote(login).encode()).decode()
        self._lines: queue.Queue[Line] = queue.Queue(QUEUE_LINES)
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._said = False
        # logging.config, which Dagster calls, forgets the handlers that exist: nothing would close this one.
        atexit.register(self.close)
        self.addFilter(lambda record: not record.name.startswith(NOT_TOLD))

    def emit(self, record: logging.LogRecord) -> None:
        """Put it into the queue; count it where that is full."""
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - as every handler of the standard library does
            self.handleError(record)
            return
        try:
            self._lines.put_nowait((int(record.created * 1e9), record.levelname.lower(), text))
        except queue.Full:
            metrics.LOG_LINES_DROPPED.labels("full").inc()
        if self._thread is None or not self._thread.is_alive():
            self._ending.clear()
            self._thread = threading.Thread(target=self._send_all, name="loki", daemon=True)
            with suppress(RuntimeError):  # at the very end of a process none can be started
                self._thread.start()

    def close(self) -> None:
        """Send what is left, for CLOSE_SECONDS at most; what is left then is counted.

        A line may follow all the same, and is sent: logging.config closes every handler that exists.
        """
        self._ending.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)
        super().close()

    def _send_all(self) -> None:
        with http_client(self._url, ANSWER_SECONDS) as client:
            while batch := self._batch():
                while not self._is_done_with(batch, client):
                    if self._ending.wait(PAUSE_SECONDS):
                        metrics.LOG_LINES_DROPPED.labels("unsent").inc(len(batch) + self._lines.qsize())
                        return

    def _batch(self) -> list[Line]:
        """The lines of a second, from the next one on; none at the end."""
        batch: list[Line] = []
        until = None
        while len(batch) < BATCH_LINES and (until is None or time.monotonic() < until):
            try:
                batch.append(self._lines.get(timeout=0.1))
            except queue.Empty:
                if self._ending.is_set():
                    break
            else:
                until = until or time.monotonic() + (0.0 if self._ending.is_set() else BATCH_SECONDS)
        return batch

    def _is_done_with(self, batch: list[Line], client: httpx.Client) -> bool:
        """Whether Loki took it, or never will."""
        values: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for moment, level, text in batch:
            values[level].append((str(moment), text))
        streams = [{"stream": LABELS | {"level": level}, "values": lines} for level, lines in values.items()]
        body = json.dumps({"streams": streams}).encode(errors="replace")
        try:
            answer = client.post(self._url, content=body, headers=self._headers)
        except httpx.HTTPError as error:
            self._complain(str(error) or type(error).__name__)
            return False
        if answer.is_success:
            self._said = False
            return True
        self._complain(f"{answer.status_code} {answer.reason_phrase}")
        if answer.status_code in REFUSED:
            metrics.LOG_LINES_DROPPED.labels("refused").inc(len(batch))
            return True
        return False

    def _complain(self, reason: str) -> None:
        """Log it once, until lines reach Loki again."""
        if not self._said:
            self._said = True
            log.warning("Log lines do not reach Loki at %s: %s", self._host, reason)
