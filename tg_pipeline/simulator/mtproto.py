"""MTProto 2.0 as the server speaks it: the encrypted envelope, message ids and the hand-packed core types.

Source: core.telegram.org/mtproto/description. Requests are parsed by Telethon's own TL classes.
"""

import hashlib
import os
import struct
import time
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from telethon.crypto import AES
from telethon.tl.core import GzipPacked, MessageContainer
from telethon.tl.tlobject import TLObject

type_of = struct.Struct("<I")
RPC_RESULT = 0xF35C6D01
RPC_ERROR = 0x2144CA19
VECTOR = b"\x15\xc4\xb5\x1c"
BOOL_TRUE = b"\xb5\x75\x72\x99"
BOOL_FALSE = b"\x37\x97\x79\xbc"
GZIP_FROM_BYTES = 512
# Level 9, the library's default, was the server's largest cost.
GZIP_LEVEL = 1


class EnvelopeError(Exception):
    """The packet was not encrypted with the key it names."""


class Message(NamedTuple):
    """One decrypted client message; `body` starts with its constructor id."""

    salt: int
    session_id: int
    msg_id: int
    seq_no: int
    body: bytes


def _aes(key: bytes, msg_key: bytes, x: int) -> tuple[bytes, bytes]:
    a = hashlib.sha256(msg_key + key[x : x + 36]).digest()
    b = hashlib.sha256(key[x + 40 : x + 76] + msg_key).digest()
    return a[:8] + b[8:24] + a[24:32], b[:8] + a[8:24] + b[24:32]


def unseal(key: bytes, packet: bytes) -> Message:
    """Decrypt what a client sent. Raises EnvelopeError where message key or length do not fit."""
    msg_key = packet[8:24]
    if len(packet) < 24 + 32 or (len(packet) - 24) % 16:
        raise EnvelopeError
    plain = AES.decrypt_ige(packet[24:], *_aes(key, msg_key, 0))
    salt, session_id, msg_id, seq_no, length = struct.unpack_from("<qqqii", plain)
    if hashlib.sha256(key[88:120] + plain).digest()[8:24] != msg_key or not 0 <= length <= len(plain) - 32:
        raise EnvelopeError
    return Message(salt, session_id, msg_id, seq_no, plain[32 : 32 + length])


def seal(key: bytes, key_id: int, message: Message) -> bytes:
    """Encrypt a message for the client; the inverse of what a client does, with the server's key offsets (x = 8)."""
    salt, session_id, msg_id, seq_no, body = message
    padding = os.urandom(12 + -(len(body) + 32 + 12) % 16)
    plain = b"".join((struct.pack("<qqqii", salt, session_id, msg_id, seq_no, len(body)), body, padding))
    msg_key = hashlib.sha256(key[96:128] + plain).digest()[8:24]
    return b"".join((struct.pack("<Q", key_id), msg_key, AES.encrypt_ige(plain, *_aes(key, msg_key, 8))))


def key_id_of(key: bytes) -> int:
    """The number that names a key in every packet: the last 64 bits of its SHA-1."""
    (key_id,) = struct.unpack_from("<Q", hashlib.sha1(key, usedforsecurity=False).digest(), 12)
    return int(key_id)


class MessageIds:
    """Server message ids: unix time times 2^32, growing, 1 modulo 4 for answers and 3 for everything else."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, *, answer: bool) -> int:
        """A fresh id, above every earlier one."""
        self._last = max(int(time.time() * 2**32) & ~3, self._last + 4)
        return self._last | (1 if answer else 3)


def unpack(message: Message) -> Iterator[Message]:
    """The client's messages inside `message`: containers opened, gzip undone."""
    (constructor,) = type_of.unpack_from(message.body)
    if constructor == GzipPacked.CONSTRUCTOR_ID:
        packed, _ = read_bytes(message.body, 4)
        yield from unpack(message._replace(body=zlib.decompress(packed, 31)))
    elif constructor == MessageContainer.CONSTRUCTOR_ID:
        (count,) = struct.unpack_from("<i", message.body, 4)
        position = 8
        for _ in range(count):
            msg_id, seq_no, length = struct.unpack_from("<qii", message.body, position)
            position += 16
            inner = message._replace(msg_id=msg_id, seq_no=seq_no, body=message.body[position : position + length])
            position += length
            yield from unpack(inner)
    else:
        yield message


def read_bytes(data: bytes, position: int) -> tuple[bytes, int]:
    """A TL byte string at `position`, and the position after its padding."""
    length, start = data[position], position + 1
    if length == 254:
        length, start = int.from_bytes(data[position + 1 : position + 4], "little"), position + 4
    end = start + length
    return data[start:end], end + -(end - position) % 4


def pack(answer: object) -> bytes:
    """An answer as TL bytes: ready bytes as they are, Bool, vectors of objects, objects."""
    if isinstance(answer, bytes):
        return answer
    if isinstance(answer, bool):
        return BOOL_TRUE if answer else BOOL_FALSE
    if isinstance(answer, list):
        return vector([pack(item) for item in answer])
    if isinstance(answer, TLObject):
        return bytes(answer)
    raise TypeError(f"{type(answer).__name__} has no TL form")


def vector(items: list[bytes]) -> bytes:
    """A boxed vector of objects that are packed already."""
    return b"".join((VECTOR, struct.pack("<i", len(items)), *items))


def rpc_result(msg_id: int, answer: bytes) -> bytes:
    """The answer to request `msg_id`, compressed where Telegram would."""
    if len(answer) > GZIP_FROM_BYTES:
        deflate = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31)
        packed = deflate.compress(answer) + deflate.flush()
        answer = type_of.pack(GzipPacked.CONSTRUCTOR_ID) + TLObject.serialize_bytes(packed)
    return struct.pack("<Iq", RPC_RESULT, msg_id) + answer


def rpc_error(msg_id: int, code: int, message: str) -> bytes:
    """The refusal of request `msg_id`."""
    head = struct.pack("<IqIi", RPC_RESULT, msg_id, RPC_ERROR, code)
    return b"".join((head, TLObject.serialize_bytes(message)))
