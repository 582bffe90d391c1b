"""Making an authorization key: the server's half of core.telegram.org/mtproto/auth_key, one instance a connection."""

import hashlib
import os
import struct
import time
from typing import Any

from telethon.crypto import AES, AuthKey
from telethon.crypto.rsa import get_byte_array
from telethon.extensions import BinaryReader
from telethon.helpers import generate_key_data_from_nonce
from telethon.tl import functions
from telethon.tl import types as tl
from telethon.tl.tlobject import TLObject

from tg_pipeline.simulator.dh import GENERATOR, PRIME
from tg_pipeline.simulator.rsa_key import D, E, N

# The primes of the example in Telegram's documentation; hiding them would guard nothing here.
P, Q = 0x494C553B, 0x53911073


class HandshakeError(Exception):
    """The client's part of the handshake does not fit together."""


class Handshake:
    """Answers the three requests of a handshake; afterwards `key` is the new authorization key."""

    def __init__(self) -> None:
        self.key: bytes | None = None
        self._server_nonce = int.from_bytes(os.urandom(16), "little", signed=True)
        self._new_nonce = 0
        self._secret = int.from_bytes(os.urandom(256), "big")

    def answer(self, request: Any) -> TLObject:
        """The answer to the next request. Raises HandshakeError where it does not fit."""
        if isinstance(request, functions.ReqPqMultiRequest | functions.ReqPqRequest):
            return tl.ResPQ(request.nonce, self._server_nonce, get_byte_array(P * Q), [fingerprint()])
        if getattr(request, "server_nonce", None) != self._server_nonce:
            raise HandshakeError("an unexpected request or nonce")
        if isinstance(request, functions.ReqDHParamsRequest):
            return self._parameters(request)
        if isinstance(request, functions.SetClientDHParamsRequest):
            return self._finish(request)
        raise HandshakeError(f"{type(request).__name__} in the middle of a handshake")

    def _parameters(self, request: Any) -> TLObject:
        number = pow(int.from_bytes(request.encrypted_data, "big"), D, N)
        inner = _hashed(number.to_bytes(256, "big")[1:])
        if (inner.p, inner.q) != (get_byte_array(P), get_byte_array(Q)):
            raise HandshakeError("a wrong factorisation")
        self._new_nonce = inner.new_nonce
        answer = bytes(
            tl.ServerDHInnerData(
                nonce=request.nonce,
                server_nonce=self._server_nonce,
                g=GENERATOR,
                dh_prime=get_byte_array(PRIME),
                g_a=get_byte_array(pow(GENERATOR, self._secret, PRIME)),
                server_time=int(time.time()),
            )
        )
        plain = _sha1(answer) + answer
        plain += os.urandom(-len(plain) % 16)
        return tl.ServerDHParamsOk(request.nonce, self._server_nonce, AES.encrypt_ige(plain, *self._temporary_key()))

    def _finish(self, request: Any) -> TLObject:
        inner = _hashed(AES.decrypt_ige(request.encrypted_data, *self._temporary_key()))
        key = AuthKey(get_byte_array(pow(int.from_bytes(inner.g_b, "big"), self._secret, PRIME)))
        self.key = key.key
        return tl.DhGenOk(request.nonce, self._server_nonce, key.calc_new_nonce_hash(self._new_nonce, 1))

    def _temporary_key(self) -> tuple[bytes, bytes]:
        key, iv = generate_key_data_from_nonce(self._server_nonce, self._new_nonce)
        return key, iv


def fingerprint() -> int:
    """The number by which clients know the server's public key."""
    parts = [TLObject.serialize_bytes(get_byte_array(part)) for part in (N, E)]
    (number,) = struct.unpack("<q", _sha1(b"".join(parts))[-8:])
    return int(number)


def _hashed(data: bytes) -> Any:
    """The object in `data`, which begins with the SHA-1 of the object and ends with padding."""
    reader = BinaryReader(data[20:])
    inner = reader.tgread_object()
    if _sha1(data[20 : 20 + reader.tell_position()]) != data[:20]:
        raise HandshakeError("a wrong hash")
    return inner


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()
