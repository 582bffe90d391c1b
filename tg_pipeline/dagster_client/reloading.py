"""Reloads of the definitions, asked for by the code server that holds them."""

import logging
import math
import threading
import time
from pathlib import Path

RELOAD_SECONDS = 60.0

log = logging.getLogger(__name__)


class Reloading:
    """Has Dagster load the registry again, from a thread: the server that does it is the one that this runs in."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._last = -math.inf
        self._is_known = False

    def ask(self) -> None:
        """Ask for it, unless that was done lately."""
        if time.monotonic() - self._last >= RELOAD_SECONDS:
            self._last = time.monotonic()
            threading.Thread(target=self._reload, name="reload", daemon=True).start()

    def _reload(self) -> None:
        from tg_pipeline.dagster_client import webserver  # noqa: PLC0415 - brings HTTP, which runs need not wait for

        try:
            webserver.reload_code_location(webserver.webserver_url(self._home))
        except webserver.WebserverError as error:
            if isinstance(error, webserver.NobodyAnswers):  # as while it is starting: the next tick tries again
                self._last = -math.inf
            if not self._is_known:
                log.warning("Commands for new chats wait until Dagster's code location is reloaded: %s", error)
            self._is_known = True
        else:
            self._is_known = False
