"""The encrypted envelope, against Telethon's own client side of it."""

import gzip
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from telethon.crypto import AuthKey
from telethon.extensions import BinaryReader
from telethon.network.mtprotostate import MTProtoState
from telethon.tl import functions
from telethon.tl import types as tl
from telethon.tl.core import GzipPacked, RpcResult
from telethon.tl.tlobject import TLObject

from tg_pipeline.simulator.mtproto import (
    EnvelopeError,
    Message,
    MessageIds,
    key_id_of,
    pack,
    read_bytes,
    rpc_result,
    seal,
    unpack,
    unseal,
)

KEY = bytes(range(256))


class _Loggers(dict[str, None]):
    def __missing__(self, key: str) -> None:
        return None


def client() -> MTProtoState:
    return MTProtoState(AuthKey(KEY), _Loggers())


@given(body=st.binary(min_size=4, max_size=300).map(lambda data: data[: len(data) & ~3]))
def test_what_a_client_seals_is_unsealed(body: bytes) -> None:
    state = client()
    packet = state.encrypt_message_data(struct.pack("<qii", 77, 3, len(body)) + body)
    assert unseal(KEY, packet) == Message(0, state.id, 77, 3, body)


def test_what_the_server_seals_a_client_unseals() -> None:
    state = client()
    msg_id = MessageIds().next(answer=True)
    packet = seal(KEY, key_id_of(KEY), Message(1, state.id, msg_id, 3, bytes(tl.Pong(5, 6))))
    received = state.decrypt_message_data(packet)
    assert received.msg_id == msg_id
    assert (received.obj.msg_id, received.obj.ping_id) == (5, 6)


@pytest.mark.parametrize("position", [8, 40, -1])
def test_a_tampered_envelope_is_refused(position: int) -> None:
    packet = bytearray(client().encrypt_message_data(struct.pack("<qii", 77, 3, 4) + b"abcd"))
    packet[position] ^= 1
    with pytest.raises(EnvelopeError):
        unseal(KEY, bytes(packet))


def test_an_envelope_that_is_too_short_is_refused() -> None:
    with pytest.raises(EnvelopeError):
        unseal(KEY, bytes(50))


def test_message_ids_grow_and_tell_answers_from_the_rest() -> None:
    ids = MessageIds()
    made = [ids.next(answer=number % 2 == 0) for number in range(1000)]
    assert made == sorted(set(made))
    assert [one % 4 for one in made[:4]] == [1, 3, 1, 3]


def test_containers_and_gzip_are_opened_however_nested() -> None:
    ping = bytes(functions.PingRequest(5))
    packed = struct.pack("<I", GzipPacked.CONSTRUCTOR_ID) + TLObject.serialize_bytes(gzip.compress(ping))
    inner = b"".join(
        struct.pack("<qii", number, number, len(body)) + body for number, body in enumerate((ping, packed), 1)
    )
    container = struct.pack("<Ii", 0x73F1F8DC, 2) + inner
    opened = list(unpack(Message(0, 0, 9, 9, container)))
    assert [(message.msg_id, message.body) for message in opened] == [(1, ping), (2, ping)]


@given(st.binary(max_size=700))
@example(bytes(300))
def test_byte_strings_are_read_with_their_padding(data: bytes) -> None:
    encoded = b"head" + TLObject.serialize_bytes(data)
    assert read_bytes(encoded + b"tail", 4) == (data, len(encoded))


@pytest.mark.parametrize("size", [8, 100_000])
def test_large_answers_are_compressed_and_read_alike(size: int) -> None:
    answer = bytes(range(8)) * (size // 8)
    result = rpc_result(5, answer)
    assert len(result) < 2_000
    read = BinaryReader(result).tgread_object()
    assert isinstance(read, RpcResult)
    assert (read.req_msg_id, read.body) == (5, answer)


def test_answers_of_every_kind_are_packed() -> None:
    pong = tl.Pong(1, 2)
    assert BinaryReader(pack([pong, True, False])).tgread_object() == [pong, True, False]
    assert pack(b"ready") == b"ready"
    with pytest.raises(TypeError, match="int has no TL form"):
        pack(5)
