"""One TCP connection: packets in and out, and the MTProto session that lives on it."""

import asyncio
import logging
import socket
import struct
import time
import zlib
from functools import partial

from telethon.errors import TypeNotFoundError
from telethon.extensions import BinaryReader
from telethon.tl import types as tl
from telethon.tl.tlobject import TLObject

from tg_pipeline.simulator.authorizations import Authorization
from tg_pipeline.simulator.dispatch import refuse_unknown, serve
from tg_pipeline.simulator.errors import RpcError
from tg_pipeline.simulator.framing import Framing, FramingError, detect
from tg_pipeline.simulator.handshake import Handshake, HandshakeError
from tg_pipeline.simulator.mtproto import (
    EnvelopeError,
    Message,
    MessageIds,
    rpc_error,
    rpc_result,
    seal,
    unpack,
    unseal,
)
from tg_pipeline.simulator.service import SERVICE
from tg_pipeline.simulator.telegram import Telegram

log = logging.getLogger(__name__)
CLIENT_TOO_OLD_SECONDS = 300
CLIENT_TOO_NEW_SECONDS = 30
LINGER_SECONDS = 1.0
"""Between our FIN and the end of a client that goes on writing."""
# What a stream of anything but MTProto makes the framing, the TL reader, zlib and the handshake raise.
GARBAGE = (FramingError, HandshakeError, BufferError, LookupError, RuntimeError, ValueError, struct.error, zlib.error)


class Connection(asyncio.Protocol):
    """A client at one of the server's ports. Runs in the server's loop; nothing in it waits."""

    def __init__(self, server: Telegram, dc_id: int, number: int) -> None:
        self.server = server
        self.dc_id = dc_id
        self.number = number
        self.authorization: Authorization | None = None
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._handshake: Handshake | None = None
        self._framing: Framing | None = None
        self._key_id = 0
        self._session_id = 0
        self._announced_session: int | None = None
        self._dropped = False
        self._message_ids = MessageIds()
        self._content_messages = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio.Protocol."""
        self._transport = transport  # type: ignore[assignment]
        self.server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - every end is the same here
        """As asyncio.Protocol."""
        self._transport = None
        self.server.connections.discard(self)
        self._leave()

    def eof_received(self) -> None:
        """As asyncio.Protocol. The session is free from now on, even if answers wait to be flushed into the void."""
        self._leave()

    def data_received(self, data: bytes) -> None:
        """As asyncio.Protocol."""
        self._buffer += data
        if self._framing is None:
            self._framing = detect(self._buffer)
        try:
            while self._framing and self._transport and (packet := self._framing.split(self._buffer)) is not None:
                self._receive(packet)
        except GARBAGE as error:
            log.warning("connection %d is closed, it sent garbage: %s", self.number, error)
            self.close()

    def close(self) -> None:
        """Close (FIN) after what was written has left."""
        if self._transport:
            self._transport.close()

    def abort(self) -> None:
        """Close at once, dropping what was not sent yet."""
        if self._transport:
            self._transport.abort()

    def drop(self, how: str) -> None:
        """End the connection without an answer: "fin", "rst", or "half" (only this direction is closed)."""
        if self._transport is None:
            return
        self._dropped = True
        self._leave()
        if how == "rst":
            # Closing with a linger of zero seconds makes the kernel send RST in the place of FIN.
            linger = struct.pack("ii", 1, 0)
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._transport.abort()
        else:
            self._transport.write_eof()
            if how == "fin":
                # With requests unread in its buffer the kernel would send RST after all: they are read, and forgotten.
                asyncio.get_running_loop().call_later(LINGER_SECONDS, self.close)

    def answer(self, msg_id: int, reply: bytes | RpcError, delay: float = 0, *, corrupt: bool = False) -> None:
        """The result of request `msg_id` after `delay` seconds; other requests do not wait for it."""
        if isinstance(reply, RpcError):
            body = rpc_error(msg_id, reply.code, reply.message)
        else:
            body = rpc_result(msg_id, reply)
        self._send_after(delay, body, answer=True, corrupt=corrupt)

    def send(self, message: TLObject) -> None:
        """A message that answers no request: a notification or an update."""
        self._send_after(self.server.options.latency, bytes(message))

    def send_transport_error(self, code: int) -> None:
        """A bare negative number in the place of a packet, such as -404 for an unknown key."""
        if self._transport and self._framing:
            self._transport.write(self._framing.error(-code))

    def _send_after(self, delay: float, body: bytes, *, answer: bool = False, corrupt: bool = False) -> None:
        write = partial(self._write, self._session_id, body, answer=answer, corrupt=corrupt)
        if delay:
            asyncio.get_running_loop().call_later(delay, write)
        else:
            write()

    def _write(self, session_id: int, body: bytes, *, answer: bool, corrupt: bool) -> None:
        if self._transport is None or self._framing is None or self.authorization is None or self._dropped:
            return
        seq_no = self._content_messages * 2 + 1
        self._content_messages += 1
        msg_id = self._message_ids.next(answer=answer)
        message = Message(self.authorization.salt, session_id, msg_id, seq_no, body)
        packet = bytearray(self._framing.frame(seal(self.authorization.key, self._key_id, message)))
        if corrupt:
            packet[-8] ^= 0xFF
        self._transport.write(packet)

    def _leave(self) -> None:
        """The session may be used on another connection now."""
        if self.authorization:
            self.authorization.connections.discard(self)

    def _receive(self, packet: bytes) -> None:
        key_id = int.from_bytes(packet[:8], "little")
        if key_id == 0:
            self._make_key(packet)
            return
        authorization = self.server.authorizations.get(key_id)
        if authorization is None or authorization.dc_id != self.dc_id:
            self.send_transport_error(404)
            return
        try:
            message = unseal(authorization.key, packet)
        except EnvelopeError:
            self.send_transport_error(404)
            return
        if self.authorization is not authorization:
            self._leave()
            self.authorization, self._key_id = authorization, key_id
            authorization.connections.add(self)
        self._session_id = message.session_id
        if self._accepts(message, authorization.salt):
            for inner in unpack(message):
                self._handle(authorization, inner)

    def _make_key(self, packet: bytes) -> None:
        """One step of the handshake, which is not encrypted."""
        if self._handshake is None:
            self._handshake = Handshake()
        answer = bytes(self._handshake.answer(BinaryReader(packet[20:]).tgread_object()))
        if self._handshake.key:
            self.server.authorizations.add(self._handshake.key, self.dc_id)
            self._handshake = None
        head = struct.pack("<qqi", 0, self._message_ids.next(answer=True), len(answer))
        if self._transport and self._framing:
            self._transport.write(self._framing.frame(head + answer))

    def _accepts(self, message: Message, salt: int) -> bool:
        """Whether message id and salt are in order; if not, the client is notified, and sends again."""
        age = time.time() - (message.msg_id >> 32)
        if message.msg_id % 4:
            self.send(tl.BadMsgNotification(message.msg_id, message.seq_no, 18))
        elif age > CLIENT_TOO_OLD_SECONDS:
            self.send(tl.BadMsgNotification(message.msg_id, message.seq_no, 16))
        elif age < -CLIENT_TOO_NEW_SECONDS:
            self.send(tl.BadMsgNotification(message.msg_id, message.seq_no, 17))
        elif message.salt != salt:
            self.send(tl.BadServerSalt(message.msg_id, message.seq_no, 48, salt))
        else:
            if self._announced_session != message.session_id:
                self._announced_session = message.session_id
                self.send(tl.NewSessionCreated(message.msg_id, message.session_id, salt))
            return True
        return False

    def _handle(self, authorization: Authorization, message: Message) -> None:
        if self._dropped:
            return
        try:
            request = BinaryReader(message.body).tgread_object()
        except TypeNotFoundError as error:
            refuse_unknown(self.server, self, message.msg_id, error.invalid_constructor_id)
            return
        service = SERVICE.get(type(request))
        if service is None:
            serve(self.server, self, authorization, message.msg_id, request)
        elif (reply := service(message.msg_id, request)) is not None:
            self.send(reply)
