"""The dispatch table: request class to handler."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tg_pipeline.simulator.world import World

if TYPE_CHECKING:
    from tg_pipeline.simulator.authorizations import Authorization
    from tg_pipeline.simulator.connection import Connection
    from tg_pipeline.simulator.server import Server


@dataclass(frozen=True)
class Call:
    """One request on its way through a handler. `now` is the server's clock, POSIX seconds."""

    server: "Server"
    connection: "Connection"
    authorization: "Authorization"
    request: Any
    now: float
    takeout_id: int | None = None

    @property
    def world(self) -> World:
        """The chats served."""
        return self.server.world


@dataclass(frozen=True)
class Handler:
    """A method's implementation; `anonymous` methods need no login."""

    answer: Callable[[Call], object]
    anonymous: bool


HANDLERS: dict[type, Handler] = {}


def handles(
    *request_classes: type, anonymous: bool = False
) -> Callable[[Callable[[Call], object]], Callable[[Call], object]]:
    """Register the decorated function for these request classes."""

    def register(function: Callable[[Call], object]) -> Callable[[Call], object]:
        for request_class in request_classes:
            HANDLERS[request_class] = Handler(function, anonymous)
        return function

    return register
