"""A client of the simulated Telegram, as those see it who answer it."""

from typing import Protocol

from telethon.tl.tlobject import TLObject

from tg_pipeline.simulator.errors import RpcError


class Client(Protocol):
    """One connection, the `number`-th, to the data centre `dc_id`."""

    number: int
    dc_id: int

    def answer(self, msg_id: int, reply: bytes | RpcError, delay: float = 0, *, corrupt: bool = False) -> None:
        """The result of request `msg_id` after `delay` seconds; other requests do not wait for it."""

    def send(self, message: TLObject) -> None:
        """A message that answers no request: a notification or an update."""

    def send_transport_error(self, code: int) -> None:
        """A bare negative number in the place of a packet, such as -404 for an unknown key."""

    def drop(self, how: str) -> None:
        """End the connection without an answer: "fin", "rst", or "half" (only this direction is closed)."""

    def abort(self) -> None:
        """Close at once, dropping what was not sent yet."""
