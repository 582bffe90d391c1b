import base64
import json
import stat
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException

import pytest

from tg_pipeline.contracts.errors import ApiRejected, InputError
from tg_pipeline.simulator import Simulator
from tg_pipeline.simulator.account import LOGIN_CODE
from tg_pipeline_tests.cli.conftest import Terminal
from tg_pipeline_tests.telegram_account import plain_world

PHONE = "+9996621234"
PASSWORD = "correct horse"
NAME = " as Me."


@pytest.fixture
def fresh(terminal: Terminal, simulator: Simulator) -> Terminal:
    """Knows the simulator, has no login yet."""
    terminal.set_api(simulator)
    return terminal


@pytest.fixture
def guarded() -> Iterator[Simulator]:
    """A simulator whose account has two-step verification."""
    with Simulator(plain_world(), password=PASSWORD) as simulator:
        yield simulator


def server(simulator: Simulator) -> tuple[str, str]:
    return "--server", f"{simulator.host}:{simulator.port}"


@contextmanager
def phone_that_scans(simulator: Simulator) -> Iterator[None]:
    """Accepts the first QR code that is shown while the block runs."""
    done = threading.Event()

    def scan() -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{simulator.control}/accept-login", method="POST")
        while not done.wait(0.02):
            try:
                with urllib.request.urlopen(request, timeout=5):  # noqa: S310 - our own loopback address
                    return
            except (OSError, HTTPException):
                continue

    phone = threading.Thread(target=scan)
    phone.start()
    try:
        yield
    finally:
        done.set()
        phone.join()


def test_a_code_logs_in_and_the_session_is_for_its_owner_alone(fresh: Terminal, simulator: Simulator) -> None:
    said = fresh.ok("login", *server(simulator), typed=f"{PHONE}\n{LOGIN_CODE}\n")
    path = fresh.home / "instance" / "sessions" / "main.session.json"
    assert said.splitlines()[-1] == f"Logged in as Me. The session is kept in {path}."
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert json.loads(path.read_text())["session"] not in said
    assert "3 files written" in fresh.ok("fetch", "busy", "--from", "2024-01-01", "--to", "2024-01-03")


def test_the_phone_may_be_given_beforehand(fresh: Terminal, simulator: Simulator) -> None:
    fresh.ok("login", *server(simulator), "--phone", PHONE, "--name", "second", typed=f"{LOGIN_CODE}\n")
    fresh.set("TELEGRAM_PHONE", PHONE)
    fresh.ok("login", *server(simulator), typed=f"{LOGIN_CODE}\n")
    sessions = fresh.home / "instance" / "sessions"
    assert sorted(path.name for path in sessions.iterdir()) == ["main.session.json", "second.session.json"]


def test_a_wrong_code_may_be_mended(fresh: Terminal, simulator: Simulator) -> None:
    assert NAME in fresh.ok("login", *server(simulator), typed=f"{PHONE}\n99999\n{LOGIN_CODE}\n")


def test_a_home_that_cannot_be_written_is_said_before_a_code_is_sent(fresh: Terminal, simulator: Simulator) -> None:
    (fresh.home / "a-file").write_text("")
    fresh.set("DAGSTER_HOME", fresh.home / "a-file" / "instance")
    fresh.refused("login", *server(simulator), "--phone", PHONE)
    assert list(simulator.journal) == []


def test_three_wrong_codes_end_it(fresh: Terminal, simulator: Simulator) -> None:
    typed = f"{PHONE}\n99999\n88888\n77777\n"
    assert fresh.fails(InputError, "login", *server(simulator), typed=typed).field == "code"
    assert not (fresh.home / "instance" / "sessions").exists()


def test_a_password_is_asked_for_and_not_shown(terminal: Terminal, guarded: Simulator) -> None:
    terminal.set_api(guarded)
    typed = f"{PHONE}\n{LOGIN_CODE}\nwrong\n{PASSWORD}\n"
    said = terminal.ok("login", *server(guarded), typed=typed)
    assert NAME in said
    assert PASSWORD not in said


def test_three_wrong_passwords_end_it(terminal: Terminal, guarded: Simulator) -> None:
    terminal.set_api(guarded)
    typed = f"{PHONE}\n{LOGIN_CODE}\na\nb\nc\n"
    assert terminal.fails(InputError, "login", *server(guarded), typed=typed).field == "password"


def test_a_scanned_qr_code_logs_in(fresh: Terminal, simulator: Simulator) -> None:
    with phone_that_scans(simulator):
        said = fresh.ok("login", "--qr", *server(simulator))
    assert "Settings > Devices > Link Desktop Device" in said
    assert "█" in said or "▄" in said
    assert NAME in said


def test_a_scanned_qr_code_may_need_the_password_too(terminal: Terminal, guarded: Simulator) -> None:
    terminal.set_api(guarded)
    with phone_that_scans(guarded):
        assert NAME in terminal.ok("login", "--qr", *server(guarded), typed=f"{PASSWORD}\n")


def test_giving_up_is_no_error(fresh: Terminal, simulator: Simulator) -> None:
    assert fresh.run("login", *server(simulator), typed=f"{PHONE}\n").code == 130


@pytest.mark.parametrize(("arguments", "field"), [(("--phone", "12"), "phone"), (("--name", "../x"), "session name")])
def test_what_cannot_be_is_refused(
    fresh: Terminal, simulator: Simulator, arguments: tuple[str, ...], field: str
) -> None:
    assert fresh.fails(InputError, "login", *server(simulator), *arguments).field == field


@pytest.mark.parametrize("address", ["nowhere", ":1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:99999"])
def test_a_server_is_host_and_port(fresh: Terminal, address: str) -> None:
    assert "is not HOST:PORT" in fresh.refused("login", "--server", address)


def test_the_api_id_must_be_the_servers(fresh: Terminal, simulator: Simulator) -> None:
    fresh.set("TELEGRAM_API_ID", 7)
    fresh.fails(ApiRejected, "login", *server(simulator), "--phone", PHONE)


def test_a_session_string_of_the_login_is_what_is_kept(fresh: Terminal, simulator: Simulator) -> None:
    fresh.ok("login", *server(simulator), "--phone", PHONE, typed=f"{LOGIN_CODE}\n")
    kept = json.loads((fresh.home / "instance" / "sessions" / "main.session.json").read_text())["session"]
    assert len(base64.urlsafe_b64decode(kept[1:])) > 256
