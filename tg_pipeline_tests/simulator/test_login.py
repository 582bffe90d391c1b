"""Logging in as a person does: by code, with a password, by QR code, at another data centre."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from telethon import errors, functions
from telethon.crypto import rsa
from telethon.sessions import StringSession
from telethon.tl import types as tl

from tg_pipeline.simulator import Simulator, World
from tg_pipeline.simulator.account import CODE_SECONDS, LOGIN_CODE, TOKEN_SECONDS
from tg_pipeline_tests.simulator.clients import connected, make_client, methods

PHONE = "+9996621234"
PASSWORD = "correct horse"


class Clock:
    """A world clock that can be put forward."""

    now = 1_750_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def login_sim(world: World, clock: Clock) -> Iterator[Simulator]:
    with Simulator(world, clock=clock) as simulator:
        yield simulator


@pytest.fixture
def guarded_sim(world: World) -> Iterator[Simulator]:
    """The account has a password."""
    with Simulator(world, password=PASSWORD) as simulator:
        yield simulator


@asynccontextmanager
async def stranger(sim: Simulator, dc_id: int = 2, **options: Any) -> AsyncIterator[Any]:
    """A client without a key, which has to shake hands first."""
    rsa.add_key(sim.public_key.read_bytes(), old=False)
    client = make_client(sim, **({"request_retries": 1, "connection_retries": 1} | options))
    client.session.set_dc(dc_id, sim.host, sim.server.ports[dc_id])
    client.session.auth_key = None
    client._sender.auth_key.key = None
    await client.connect()
    try:
        yield client
    finally:
        await client.disconnect()


async def test_a_code_logs_in_and_the_session_string_lasts(login_sim: Simulator) -> None:
    async with stranger(login_sim) as client:
        assert not await client.is_user_authorized()
        await client.send_code_request(PHONE)
        user = await client.sign_in(PHONE, LOGIN_CODE)
        assert user.username == "me_myself"
        text = client.session.save()
    async with connected(login_sim, text) as again:
        assert await again.is_user_authorized()


async def test_keys_with_leading_zeros_work_as_telethon_spells_them(login_sim: Simulator) -> None:
    short = b"\1" * 255
    login_sim.call(lambda: login_sim.server.authorizations.add(short, 2)).log_in()
    session = make_client(login_sim).session
    session.auth_key.key = short
    padded = StringSession(session.save())
    assert len(padded.auth_key.key) == 256
    async with connected(login_sim, padded.save()) as client:
        assert await client.is_user_authorized()


async def test_wrong_empty_and_late_codes_are_refused(login_sim: Simulator, clock: Clock) -> None:
    async with stranger(login_sim) as client:
        sent = await client.send_code_request(PHONE)
        with pytest.raises(errors.PhoneCodeInvalidError):
            await client.sign_in(PHONE, "99999")
        with pytest.raises(errors.PhoneCodeEmptyError):
            await client(functions.auth.SignInRequest(PHONE, sent.phone_code_hash, ""))
        clock.now += CODE_SECONDS
        with pytest.raises(errors.PhoneCodeExpiredError):
            await client.sign_in(PHONE, LOGIN_CODE)
        await client.send_code_request(PHONE)
        assert await client.sign_in(PHONE, LOGIN_CODE)


async def test_a_code_is_sent_again_under_a_new_hash(login_sim: Simulator) -> None:
    async with stranger(login_sim) as client:
        first = await client.send_code_request(PHONE)
        second = await client.send_code_request(PHONE)
        assert first.phone_code_hash != second.phone_code_hash
        with pytest.raises(errors.PhoneCodeExpiredError):
            await client(functions.auth.ResendCodeRequest(PHONE, first.phone_code_hash))
        assert await client.sign_in(PHONE, LOGIN_CODE)


async def test_numbers_and_applications_that_do_not_exist_are_refused(login_sim: Simulator) -> None:
    async with stranger(login_sim) as client:
        with pytest.raises(errors.PhoneNumberInvalidError):
            await client.send_code_request("+12")
        with pytest.raises(errors.ApiIdInvalidError):
            await client(functions.auth.SendCodeRequest(PHONE, 1, "x", tl.CodeSettings()))
        await client.send_code_request("+9996620000")
        with pytest.raises(errors.PhoneNumberUnoccupiedError):
            await client.sign_in("+9996620000", LOGIN_CODE)


async def test_a_password_is_asked_for_and_proved(guarded_sim: Simulator) -> None:
    async with stranger(guarded_sim) as client:
        await client.send_code_request(PHONE)
        with pytest.raises(errors.SessionPasswordNeededError):
            await client.sign_in(PHONE, LOGIN_CODE)
        with pytest.raises(errors.PasswordHashInvalidError):
            await client.sign_in(password="wrong")
        with pytest.raises(errors.SrpIdInvalidError):
            await client(functions.auth.CheckPasswordRequest(tl.InputCheckPasswordSRP(1, b"", b"")))
        assert (await client.sign_in(password=PASSWORD)).is_self
        assert await client.is_user_authorized()


async def test_without_a_login_nothing_can_be_read(login_sim: Simulator) -> None:
    async with stranger(login_sim) as client:
        for request in (
            functions.account.GetPasswordRequest(),
            functions.auth.CheckPasswordRequest(tl.InputCheckPasswordEmpty()),
            functions.contacts.ResolveUsernameRequest("alpha"),
        ):
            with pytest.raises(errors.AuthKeyUnregisteredError):
                await client(request)


async def test_an_account_without_a_password_says_so(login_sim: Simulator) -> None:
    async with connected(login_sim) as client:
        assert not (await client(functions.account.GetPasswordRequest())).has_password


async def test_logging_out_ends_the_session(login_sim: Simulator) -> None:
    async with connected(login_sim) as client:
        assert await client.log_out()
    async with connected(login_sim) as client:
        assert not await client.is_user_authorized()


async def test_a_phone_of_another_data_centre_is_followed_there(login_sim: Simulator) -> None:
    async with stranger(login_sim, dc_id=4) as client:
        await client.send_code_request(PHONE)
        assert client.session.dc_id == 2
        assert await client.sign_in(PHONE, LOGIN_CODE)
    assert [entry.get("error") for entry in login_sim.journal if entry["method"] == "auth.sendCode"] == [
        "PHONE_MIGRATE_2",
        None,
    ]


async def scanned_by(scan: Callable[[Any], Awaitable[object]], client: Any) -> Any:
    """What the client gets for showing a QR code, once `scan` has been given what it shows."""
    shown = await client.qr_login()
    waiting = asyncio.create_task(shown.wait(5))
    await asyncio.sleep(0)
    await scan(shown)
    return await waiting


async def scanned(client: Any, phone: Any) -> Any:
    """What the client gets for showing a QR code that another client scans."""
    return await scanned_by(lambda shown: phone(functions.auth.AcceptLoginTokenRequest(shown.token)), client)


@pytest.mark.parametrize("dc_id", [2, 4])
async def test_a_scanned_qr_code_logs_in_at_home(login_sim: Simulator, dc_id: int) -> None:
    async with stranger(login_sim, dc_id, receive_updates=True) as client, connected(login_sim) as phone:
        assert (await scanned(client, phone)).is_self
        assert client.session.dc_id == 2
        assert await client.is_user_authorized()
    assert ("auth.importLoginToken" in methods(login_sim)) == (dc_id == 4)


async def test_a_scanned_qr_code_still_asks_for_the_password(guarded_sim: Simulator) -> None:
    async with stranger(guarded_sim, receive_updates=True) as client, connected(guarded_sim) as phone:
        with pytest.raises(errors.SessionPasswordNeededError):
            await scanned(client, phone)
        assert await client.sign_in(password=PASSWORD)


async def test_tokens_that_are_unknown_late_or_unscanned_are_refused(login_sim: Simulator, clock: Clock) -> None:
    async with stranger(login_sim) as client, connected(login_sim) as phone:
        shown = await client.qr_login()
        for token in (b"unknown", shown.token):
            with pytest.raises(errors.AuthTokenInvalidError):
                await client(functions.auth.ImportLoginTokenRequest(token))
        with pytest.raises(errors.AuthTokenInvalidError):
            await phone(functions.auth.AcceptLoginTokenRequest(b"unknown"))
        await phone(functions.auth.AcceptLoginTokenRequest(shown.token))
        clock.now += TOKEN_SECONDS
        with pytest.raises(errors.AuthTokenExpiredError):
            await phone(functions.auth.AcceptLoginTokenRequest(shown.token))
        with pytest.raises(errors.AuthTokenExpiredError):
            await client(functions.auth.ImportLoginTokenRequest(shown.token))


async def test_a_login_is_carried_over_once_and_only_with_its_secret(login_sim: Simulator) -> None:
    async with connected(login_sim) as client, stranger(login_sim, dc_id=4) as other:
        exported = await client(functions.auth.ExportAuthorizationRequest(4))
        with pytest.raises(errors.AuthBytesInvalidError):
            await other(functions.auth.ImportAuthorizationRequest(exported.id, b"guessed"))
        with pytest.raises(errors.AuthBytesInvalidError):
            await other(functions.auth.ImportAuthorizationRequest(exported.id, exported.bytes))
        exported = await client(functions.auth.ExportAuthorizationRequest(4))
        await other(functions.auth.ImportAuthorizationRequest(exported.id, exported.bytes))
        assert await other.is_user_authorized()
        with pytest.raises(errors.DcIdInvalidError):
            await client(functions.auth.ExportAuthorizationRequest(9))
