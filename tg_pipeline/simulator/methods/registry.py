"""The dispatch table: request class to handler."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tg_pipeline.simulator.account import Account
from tg_pipeline.simulator.authorizations import Authorization
from tg_pipeline.simulator.client import Client
from tg_pipeline.simulator.telegram import Telegram
from tg_pipeline.simulator.world import World


@dataclass(frozen=True)
class Call:
    """One request on its way through a handler, which came under the key `authorization`.

    `now` is the server's clock in POSIX seconds; `takeout_id` the takeout session that the request came in, if it
    did; `page_fault` what a fault rule does to a page of history, and `undecodable` the ids of messages in it that it
    makes those of an unknown type.
    """

    server: Telegram
    connection: Client
    authorization: Authorization
    request: Any
    now: float
    takeout_id: int | None = None
    page_fault: str | None = None
    undecodable: frozenset[int] = frozenset()

    @property
    def world(self) -> World:
        """The chats served."""
        return self.server.world

    @property
    def account(self) -> Account:
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
