"""The dispatch table: request class to handler."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tg_pipeline.simulator.world import World

if TYPE_CHECKING:
    from tg_pipeline.simulator.account import Account
    from tg_pipeline.simulator.authorizations import Authorization
    from tg_pipeline.simulator.connection import Connection
    from tg_pipeline.simulator.server import Server


@dataclass(frozen=True)
class Call:
    """One request on its way through a handler.

    `now` is the server's clock in POSIX seconds; `takeout_id` the takeout session that the request came in, if it
    did; `page_fault` what a fault rule does to a page of history, and `undecodable` the ids of messages in it that it
    makes those of an unknown type.
    """

    server: "Server"
    connection: "Connection"
    request: Any
    now: float
    takeout_id: int | None = None
    page_fault: str | None = None
    undecodable: frozenset[int] = frozenset()

    @property
    def authorization(self) -> "Authorization":
        """The key that the request came under."""
        if self.connection.authorization is None:
            raise AssertionError("a request can only be read with a key")
        return self.connection.authorization

    @property
    def world(self) -> World:
        """The chats served."""
        return self.server.world

    @property
    def account(self) -> "Account":
        """The account that logs in."""
        return self.server.account


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
