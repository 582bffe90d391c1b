import asyncio
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tg_pipeline.resilience import loopback
from tg_pipeline.resilience.loopback import BeyondLoopbackError, check, guarded_environment

# TEST-NET-3 (RFC 5737): an address that nobody has, should the guard ever fail.
ELSEWHERE = "203.0.113.1"


def inet(family: int = socket.AF_INET) -> Any:
    return SimpleNamespace(family=family)


@pytest.mark.parametrize(
    ("event", "args"),
    [
        ("socket.connect", (inet(), (ELSEWHERE, 443))),
        ("socket.connect", (inet(), ("192.168.0.1", 443))),
        ("socket.connect", (inet(), ("example.org", 443))),
        ("socket.connect", (inet(), ("127.example.org", 443))),
        ("socket.connect", (inet(), (b"example.org", 443))),
        ("socket.connect", (inet(socket.AF_INET6), ("2001:db8::1", 443, 0, 0))),
        ("socket.connect", (inet(socket.AF_INET6), (f"::ffff:{ELSEWHERE}", 443))),
        ("socket.sendto", (inet(), (ELSEWHERE, 53))),
        ("socket.sendmsg", (inet(), (ELSEWHERE, 53))),
        ("socket.getaddrinfo", ("example.org", 443, 0, 0, 0)),
        ("socket.gethostbyname", ("example.org",)),
        ("socket.gethostbyaddr", (ELSEWHERE,)),
    ],
)
def test_what_leaves_the_machine_is_refused(event: str, args: tuple[Any, ...]) -> None:
    with pytest.raises(BeyondLoopbackError):
        check(event, args)


@pytest.mark.parametrize(
    ("event", "args"),
    [
        ("socket.connect", (inet(), ("127.0.0.1", 80))),
        ("socket.connect", (inet(), ("127.1.2.3", 80))),
        ("socket.connect", (inet(), ("localhost", 80))),
        ("socket.connect", (inet(), ("", 80))),
        ("socket.connect", (inet(socket.AF_INET6), ("::1", 80, 0, 0))),
        ("socket.connect", (inet(socket.AF_INET6), ("::ffff:127.0.0.1", 80))),
        ("socket.connect", (inet(socket.AF_UNIX), "/run/some.sock")),
        ("socket.connect", (inet(socket.AF_NETLINK), (0, 0))),
        ("socket.sendmsg", (inet(), None)),
        ("socket.getaddrinfo", (None, 80, 0, 0, 0)),
        ("socket.getaddrinfo", (b"localhost", 80, 0, 0, 0)),
        ("socket.getaddrinfo", ("0.0.0.0", 80, 0, 0, 0)),  # noqa: S104 - the address itself is the subject
    ],
)
def test_what_stays_on_the_machine_passes(event: str, args: tuple[Any, ...]) -> None:
    check(event, args)


def refused() -> "pytest.RaisesExc[RuntimeError]":
    # A worker of pytest-xdist was guarded at its birth, by a copy of the class that has no importable name.
    return pytest.raises(RuntimeError, match="may talk to")


def test_this_test_run_is_guarded() -> None:
    with socket.socket() as client, refused():
        client.connect((ELSEWHERE, 443))
    with socket.socket() as client, refused():
        client.connect_ex((ELSEWHERE, 443))
    with socket.socket(type=socket.SOCK_DGRAM) as client, refused():
        client.sendto(b"", (ELSEWHERE, 53))
    with refused():
        socket.create_connection(("example.org", 443))


@pytest.mark.parametrize("host", [ELSEWHERE, "example.org"])
async def test_asyncio_is_guarded(host: str) -> None:
    with refused():
        await asyncio.open_connection(host, 443)


def test_loopback_works_as_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


CONNECT = f"import socket; socket.socket().connect(('{ELSEWHERE}', 443))"
CHILD_CONNECTS = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {CONNECT!r}]))"


@pytest.mark.parametrize("program", [CONNECT, CHILD_CONNECTS], ids=["child", "grandchild"])
def test_every_python_started_is_guarded(program: str, tmp_path: Path) -> None:
    environment = guarded_environment({"PATH": os.environ["PATH"]})
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"BeyondLoopbackError: This process may talk to 127.0.0.1 only, and something asked for '{ELSEWHERE}'" in (
        done.stderr
    )


def test_a_sitecustomize_of_the_machine_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('the machine greets')")
    environment = guarded_environment({"PYTHONPATH": str(tmp_path)})
    done = subprocess.run([sys.executable, "-c", CONNECT], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "the machine greets\n"
    assert "BeyondLoopbackError" in done.stderr


def test_a_python_that_cannot_be_guarded_does_not_start(tmp_path: Path) -> None:
    shutil.copytree(Path(loopback.__file__).with_name("loopback_site"), tmp_path / "loopback_site")
    environment = {"PYTHONPATH": str(tmp_path / "loopback_site")}
    done = subprocess.run(
        [sys.executable, "-c", "print('started')"], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("", 1)
    assert "The loopback guard does not start" in done.stderr


def test_guarding_an_environment_twice_changes_nothing_more() -> None:
    once = guarded_environment({"PYTHONPATH": "/one:/two", "HOME": "/home"})
    assert once["PYTHONPATH"].endswith(":/one:/two")
    assert once["HOME"] == "/home"
    assert guarded_environment(once) == once
