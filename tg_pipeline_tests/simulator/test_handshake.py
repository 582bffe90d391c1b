"""The handshake refuses what does not fit together; that it works is shown by every login."""

import pytest
from telethon import functions
from telethon.crypto import rsa
from telethon.crypto.rsa import get_byte_array
from telethon.tl import types as tl

from tg_pipeline.simulator.handshake import Handshake, HandshakeError, P, Q, fingerprint
from tg_pipeline.simulator.rsa_key import PUBLIC_KEY_PATH


def begun() -> tuple[Handshake, tl.ResPQ]:
    handshake = Handshake()
    answer = handshake.answer(functions.ReqPqMultiRequest(5))
    return handshake, answer


def parameters(answer: tl.ResPQ, p: int = P, q: int = Q) -> functions.ReqDHParamsRequest:
    rsa.add_key(PUBLIC_KEY_PATH.read_bytes(), old=False)
    factors = get_byte_array(p), get_byte_array(q)
    inner = tl.PQInnerData(answer.pq, *factors, nonce=5, server_nonce=answer.server_nonce, new_nonce=9)
    encrypted = rsa.encrypt(fingerprint(), bytes(inner))
    return functions.ReqDHParamsRequest(5, answer.server_nonce, *factors, fingerprint(), encrypted)


def test_the_published_key_is_the_servers() -> None:
    _, answer = begun()
    assert answer.server_public_key_fingerprints == [fingerprint()]
    handshake, answer = begun()
    assert isinstance(handshake.answer(parameters(answer)), tl.ServerDHParamsOk)


def test_a_wrong_factorisation_is_refused() -> None:
    handshake, answer = begun()
    with pytest.raises(HandshakeError, match="factorisation"):
        handshake.answer(parameters(answer, p=3, q=5))


def test_a_foreign_nonce_is_refused() -> None:
    handshake, answer = begun()
    request = parameters(answer)
    request.server_nonce += 1
    with pytest.raises(HandshakeError, match="nonce"):
        handshake.answer(request)


def test_a_damaged_inner_object_is_refused() -> None:
    handshake, answer = begun()
    inner = bytes(tl.PQInnerData(answer.pq, b"1", b"2", nonce=5, server_nonce=answer.server_nonce, new_nonce=9))
    key, _ = rsa._server_keys[fingerprint()]
    number = int.from_bytes(bytes(20) + inner + bytes(235 - len(inner)), "big")
    encrypted = pow(number, key.e, key.n).to_bytes(256, "big")
    with pytest.raises(HandshakeError, match="hash"):
        handshake.answer(functions.ReqDHParamsRequest(5, answer.server_nonce, b"1", b"2", fingerprint(), encrypted))


def test_a_request_out_of_place_is_refused() -> None:
    handshake, answer = begun()
    handshake.answer(parameters(answer))
    with pytest.raises(HandshakeError, match="in the middle"):
        handshake.answer(tl.ResPQ(5, answer.server_nonce, b"", []))
