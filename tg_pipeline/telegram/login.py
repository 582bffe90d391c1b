"""Logging in: by code, with a password where two-step verification is on, or by QR code; `Prompts` ask the person."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from telethon import TelegramClient
from telethon import errors as vendor
from telethon.sessions import StringSession

from tg_pipeline.contracts.errors import InputError, NetworkError, TgPipelineError
from tg_pipeline.telegram.errors import translate
from tg_pipeline.telegram.wire import Api, build_client, unreached

TRIES = 3


@dataclass(frozen=True, slots=True)
class Prompts:
    """How to ask the person at the terminal. Each asker gets the words to show and gives the answer."""

    phone: Callable[[], str]
    code: Callable[[str], str]
    password: Callable[[str], str]
    show_qr: Callable[[str, datetime], None]


@dataclass(frozen=True, slots=True)
class DataCentre:
    """The server to log in at; Telegram's own when none is given."""

    host: str
    port: int
    id: int = 2


@dataclass(frozen=True, slots=True)
class Login:
    """A fresh login: the secret session string and whose it is."""

    secret: str
    user_id: int
    name: str

    def __repr__(self) -> str:
        return f"Login(user_id={self.user_id})"


async def login_by_code(api: Api, prompts: Prompts, server: DataCentre | None = None) -> Login:
    """Phone number, the code Telegram sends, and the password where there is one.

    A wrong code or password may be tried again, three times in all. That a number has no account may be known only
    after a code: Telegram does not say whose numbers have one. Raises InputError for a phone number or code
    that Telegram refuses, FloodWaitError, ApiRejected, NetworkError.
    """
    async with _client(api, server) as client:
        phone = prompts.phone()
        sent = await client.send_code_request(phone)
        question = "Code that Telegram sent you"
        for tries_left in reversed(range(TRIES)):
            try:
                await client.sign_in(phone, prompts.code(question), phone_code_hash=sent.phone_code_hash)
                break
            except vendor.SessionPasswordNeededError:
                await _password(client, prompts)
                break
            except (vendor.PhoneCodeInvalidError, vendor.PhoneCodeEmptyError) as error:
                if not tries_left:
                    raise InputError(
                        "code: wrong three times. Run `tg-pipeline login` again for a new one.", field="code"
                    ) from error
                question = "Wrong code. Once more"
        return await _finished(client)


async def login_by_qr(api: Api, prompts: Prompts, server: DataCentre | None = None, *, tries: int = 10) -> Login:
    """A QR code for a phone that is logged in (Settings > Devices). A code lives about 30 s; `tries` are shown."""
    async with _client(api, server) as client:
        qr = await client.qr_login()
        for _ in range(tries):
            prompts.show_qr(qr.url, qr.expires.astimezone(UTC))
            try:
                await qr.wait()
                break
            except TimeoutError:
                await qr.recreate()
            except vendor.SessionPasswordNeededError:
                await _password(client, prompts)
                break
        else:
            raise InputError("QR code: nobody scanned it in time. Run `tg-pipeline login --qr` again.")
        return await _finished(client)


async def _password(client: TelegramClient, prompts: Prompts) -> None:
    question = "Password (two-step verification)"
    for tries_left in reversed(range(TRIES)):
        try:
            await client.sign_in(password=prompts.password(question))
        except vendor.PasswordHashInvalidError as error:
            if not tries_left:
                raise InputError("password: wrong three times.", field="password") from error
            question = "Wrong password. Once more"
        else:
            return


async def _finished(client: TelegramClient) -> Login:
    me = await client.get_me()
    name = " ".join(part for part in (me.first_name, me.last_name) if part) or str(me.id)
    return Login(client.session.save(), me.id, name)


@asynccontextmanager
async def _client(api: Api, server: DataCentre | None) -> AsyncIterator[TelegramClient]:
    """A client with a new key. To follow PHONE_MIGRATE to the right data centre is left to Telethon here."""
    session = StringSession()
    if server is not None:
        session.set_dc(server.id, server.host, server.port)
    client = build_client(session, api, for_login=True)
    try:
        await client.connect()
        yield client
    except (vendor.PhoneNumberUnoccupiedError, vendor.PhoneNumberAppSignupForbiddenError) as error:
        raise InputError(
            "phone: this number has no Telegram account. Sign up in a Telegram app first.", field="phone"
        ) from error
    except (vendor.PhoneNumberInvalidError, vendor.PhoneNumberFloodError) as error:
        raise InputError(
            "phone: Telegram does not accept this number. Write it as +<country code><number>.", field="phone"
        ) from error
    except vendor.PhoneCodeExpiredError as error:
        raise InputError("code: expired. Run `tg-pipeline login` again for a new one.", field="code") from error
    except TgPipelineError:
        raise
    except Exception as error:
        ours = translate(error, "login")
        if ours is None:
            raise
        raise (unreached(session, api, error) if isinstance(ours, NetworkError) else ours) from error
    finally:
        await client.disconnect()
