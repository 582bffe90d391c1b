"""Logging in as a person does, through the prompts: by code, with a password, by QR code."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pytest

from tg_pipeline.contracts.errors import ApiRejected, FloodWaitError, InputError, NetworkError
from tg_pipeline.simulator import Error, Simulator
from tg_pipeline.simulator.account import LOGIN_CODE, TOKEN_SECONDS
from tg_pipeline.simulator.methods.qr import accept
from tg_pipeline.telegram.login import DataCentre, Login, Prompts, login_by_code, login_by_qr
from tg_pipeline.telegram.wire import Api, trust_server_key
from tg_pipeline_tests.telegram.conftest import Connect
from tg_pipeline_tests.telegram_account import plain_world

PHONE = "+9996621234"
PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def trusted(sim: Simulator) -> None:
    trust_server_key(sim.public_key.read_text())


@pytest.fixture
def guarded() -> Iterator[Simulator]:
    """The account has a password."""
    with Simulator(plain_world(), password=PASSWORD) as simulator:
        yield simulator


class Person:
    """Answers the prompts, each from a list."""

    def __init__(self, codes: Sequence[str] = (LOGIN_CODE,), passwords: Sequence[str] = (), phone: str = PHONE) -> None:
        self.asked: list[str] = []
        self.codes = iter(codes)
        self.passwords = iter(passwords)
        self.shown: list[tuple[str, datetime]] = []
        self.prompts = Prompts(
            phone=lambda: phone,
            code=lambda text: self.answer(text, self.codes),
            password=lambda text: self.answer(text, self.passwords),
            show_qr=lambda url, expires: self.shown.append((url, expires)),
        )

    def answer(self, text: str, answers: Iterator[str]) -> str:
        self.asked.append(text)
        return next(answers)


def at(sim: Simulator) -> tuple[Api, DataCentre]:
    return Api(sim.api_id, sim.api_hash), DataCentre(sim.host, sim.port)


async def by_code(sim: Simulator, person: Person) -> Login:
    api, server = at(sim)
    return await login_by_code(api, person.prompts, server)


async def test_a_code_logs_in_and_the_session_works(sim: Simulator, connect: Connect) -> None:
    login = await by_code(sim, Person())
    assert (login.user_id, login.name) == (500_000_001, "Me")
    assert login.secret not in repr(login)
    assert await connect(login.secret).own_id() == 500_000_001


async def test_a_wrong_code_may_be_corrected_twice(sim: Simulator) -> None:
    person = Person(codes=["00000", "11111", LOGIN_CODE])
    await by_code(sim, person)
    assert person.asked == ["Code that Telegram sent you", *["Wrong code. Once more"] * 2]
    with pytest.raises(InputError, match="code: wrong three times") as refused:
        await by_code(sim, Person(codes=["0", "1", "2"]))
    assert refused.value.field == "code"


async def test_a_password_is_asked_for_where_there_is_one(guarded: Simulator, connect: Connect) -> None:
    person = Person(passwords=["wrong", PASSWORD])
    login = await by_code(guarded, person)
    assert person.asked[1:] == ["Password (two-step verification)", "Wrong password. Once more"]
    assert await connect(login.secret).own_id() == 500_000_001
    with pytest.raises(InputError, match="password: wrong three times") as refused:
        await by_code(guarded, Person(passwords=["a", "b", "c"]))
    assert refused.value.field == "password"


@pytest.mark.parametrize(
    ("error", "method", "expected", "sentence"),
    [
        ("PHONE_NUMBER_INVALID", "auth.sendCode", InputError, "phone: Telegram does not accept this number"),
        ("PHONE_CODE_EXPIRED", "auth.signIn", InputError, "code: expired"),
        ("FLOOD_WAIT_900", "auth.sendCode", FloodWaitError, "wait 900 s"),
        ("API_ID_INVALID", "auth.sendCode", ApiRejected, "TELEGRAM_API_ID"),
        ("PHONE_NUMBER_BANNED", "auth.sendCode", ApiRejected, "PHONE_NUMBER_BANNED"),
        ("UPDATE_APP_TO_LOGIN", "auth.sendCode", ApiRejected, "UPDATE_APP_TO_LOGIN"),
    ],
)
async def test_what_telegram_refuses_gets_a_sentence_without_the_phone_number(
    sim: Simulator, error: str, method: str, expected: type[Exception], sentence: str
) -> None:
    sim.faults.add(Error(error=error, method=method))
    with pytest.raises(expected, match=sentence) as refused:
        await by_code(sim, Person())
    assert PHONE not in str(refused.value)


@pytest.mark.parametrize("said_at_once", [True, False])
async def test_a_number_without_an_account_is_said_to_have_none(sim: Simulator, *, said_at_once: bool) -> None:
    if said_at_once:
        sim.faults.add(Error(error="PHONE_NUMBER_APP_SIGNUP_FORBIDDEN", method="auth.sendCode"))
    person = Person(phone="+9996620000")
    with pytest.raises(InputError, match="phone: this number has no Telegram account") as refused:
        await by_code(sim, person)
    assert "9996620000" not in str(refused.value)
    assert len(person.asked) == (0 if said_at_once else 1)


async def test_a_server_that_is_not_there_is_a_network_error(sim: Simulator) -> None:
    api, _ = at(sim)
    with pytest.raises(NetworkError, match=f"{sim.host}:1 "):
        await login_by_code(api, Person().prompts, DataCentre(sim.host, 1))


async def scan(sim: Simulator, person: Person, showing: int = 1) -> None:
    """A phone scans the code shown as the `showing`-th."""
    while len(person.shown) < showing:  # noqa: ASYNC110 - the prompts are no asynchronous thing
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    account = sim.server.account
    sim.call(lambda: accept(sim.server, account.find_token(person.shown[-1][0]), sim.server.options.clock()))


async def test_a_scanned_qr_code_logs_in(sim: Simulator, connect: Connect) -> None:
    person = Person()
    api, server = at(sim)
    login, _ = await asyncio.gather(login_by_qr(api, person.prompts, server), scan(sim, person))
    ((url, expires),) = person.shown
    assert url.startswith("tg://login?token=")
    assert expires > datetime.now(UTC)
    assert await connect(login.secret).own_id() == 500_000_001


async def test_after_a_scan_the_password_is_asked_for(guarded: Simulator, connect: Connect) -> None:
    person = Person(passwords=[PASSWORD])
    api, server = at(guarded)
    login, _ = await asyncio.gather(login_by_qr(api, person.prompts, server), scan(guarded, person))
    assert await connect(login.secret).own_id() == 500_000_001


@pytest.fixture
def hasty() -> Iterator[Simulator]:
    """A server whose clock runs behind, so that a code is over soon."""
    with Simulator(plain_world(), clock=lambda: time.time() - TOKEN_SECONDS + 1.5) as simulator:
        yield simulator


async def test_a_qr_code_that_is_over_is_replaced(hasty: Simulator) -> None:
    person = Person()
    api, server = at(hasty)
    login, _ = await asyncio.gather(login_by_qr(api, person.prompts, server), scan(hasty, person, showing=2))
    assert login.user_id == 500_000_001
    assert len({url for url, _ in person.shown}) == 2


async def test_a_qr_code_that_nobody_scans_is_given_up(hasty: Simulator) -> None:
    person = Person()
    api, server = at(hasty)
    with pytest.raises(InputError, match="QR code: nobody scanned it in time"):
        await login_by_qr(api, person.prompts, server, tries=2)
    assert len(person.shown) >= 2
