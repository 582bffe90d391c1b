"""Looking at several things at once, none of which may hold up the others."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from threading import Thread
from typing import Any

from tg_pipeline.contracts.errors import TgPipelineError
from tg_pipeline.contracts.health import Unread


class SideBySide:
    """Reads parts, each in a thread of its own for up to `limit_seconds`.

    A reading that takes longer goes on; until it ends, the next look waits for it instead of beginning another.
    """

    def __init__(self, limit_seconds: float) -> None:
        self._limit = limit_seconds
        self._running: dict[str, Future[Any]] = {}

    def read(self, parts: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        """What each part gives, or an Unread that says why it gives nothing."""
        for name, part in parts.items():
            if name not in self._running:
                self._running[name] = _begun(name, part)
        wait([self._running[name] for name in parts], self._limit)
        return {name: self._outcome(name) for name in parts}

    def _outcome(self, name: str) -> Any:
        if not self._running[name].done():
            return Unread(reason=f"There was no answer within {self._limit:g} s.")
        future = self._running.pop(name)
        error = future.exception()
        return future.result() if error is None else Unread(reason=_sentence(error))


def _begun(name: str, part: Callable[[], Any]) -> Future[Any]:
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(part())
        except Exception as error:  # noqa: BLE001 - whatever fails in this part, the others are read
            future.set_exception(error)

    Thread(target=run, name=f"health {name}", daemon=True).start()
    return future


def _sentence(error: BaseException) -> str:
    """Our own errors hold no secrets; what libraries say may."""
    if isinstance(error, TgPipelineError):
        return str(error)
    reason = error.strerror if isinstance(error, OSError) else None
    return f"It could not be read ({reason or type(error).__name__})."
