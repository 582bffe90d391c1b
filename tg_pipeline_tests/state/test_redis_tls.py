"""A Redis behind TLS: a real one, with a real TLS server before it, because the bundled redis-server speaks none."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tg_pipeline.contracts.errors import StateUnavailable
from tg_pipeline.state.redis_server import local_redis
from tg_pipeline.state.redis_store import RedisStore

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl, to make a certificate")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "certificate.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([*command.split(), "-keyout", path, "-out", tmp_path / "own.pem"], check=True, capture_output=True)
    path.write_text(path.read_text() + (tmp_path / "own.pem").read_text())
    return path


@pytest.fixture
def tls_port(tmp_path: Path, certificate: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with local_redis(tmp_path / "redis") as url, socket.create_server(("127.0.0.1", 0)) as listener:
        redis_port = int(url.removesuffix("/0").rpartition(":")[2])
        serving = threading.Thread(target=_serve, args=(listener, context, redis_port))
        serving.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        serving.join()


def _serve(listener: socket.socket, context: ssl.SSLContext, redis_port: int) -> None:
    """One connection after the other, each answer after its question."""
    with contextlib.suppress(OSError):
        while True:
            plain, _ = listener.accept()
            with (
                contextlib.suppress(OSError),
                plain,
                context.wrap_socket(plain, server_side=True) as client,
                socket.create_connection(("127.0.0.1", redis_port)) as server,
            ):
                while question := client.recv(65_536):
                    server.sendall(question)
                    client.sendall(server.recv(65_536))


def test_it_is_spoken_to_where_its_certificate_is_trusted(tls_port: int, tmp_path: Path) -> None:
    store = RedisStore(f"rediss://127.0.0.1:{tls_port}/0?ssl_ca_certs={tmp_path / 'own.pem'}", time.time)
    assert [store.add("n"), store.add("n")] == [1, 2]
    store.close()


def test_one_that_nobody_vouches_for_is_not(tls_port: int) -> None:
    store = RedisStore(f"rediss://:hush@127.0.0.1:{tls_port}/0", time.time)
    with pytest.raises(StateUnavailable, match=rf"127\.0\.0\.1:{tls_port}") as caught:
        store.add("n")
    assert "hush" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value.__cause__)


def test_one_that_speaks_none_is_a_sentence(tmp_path: Path) -> None:
    with local_redis(tmp_path / "redis") as url, pytest.raises(StateUnavailable, match=r"127\.0\.0\.1"):
        RedisStore(url.replace("redis://", "rediss://"), time.time).add("n")
