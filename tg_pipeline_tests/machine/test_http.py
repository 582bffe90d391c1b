"""Which calls go through a proxy."""

from collections.abc import Iterator, Mapping

import httpx
import pytest

from tg_pipeline.machine.http import http_client
from tg_pipeline_tests.http_sink import http_sink


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What the environment's proxy was asked for; it answers 502."""
    asked: list[str] = []

    def refuse(path: str, headers: Mapping[str, str], body: bytes) -> int:
        del headers, body
        asked.append(path)
        return 502

    with http_sink(refuse) as url:
        for key in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(key, raising=False)
        for key in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(key, url)
        yield asked


def test_other_hosts_are_reached_through_the_proxy(proxied: list[str]) -> None:
    url = "http://loki.example/push"
    with http_client(url, 60.0) as client:
        assert client.post(url, content=b"x").status_code == 502
    assert proxied == [url]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_reached_directly(proxied: list[str], host: str) -> None:
    with http_sink(lambda _path, _headers, _body: 204) as sink:
        url = sink.replace("127.0.0.1", host)
        with http_client(url, 60.0) as client:
            assert client.post(url, content=b"x").status_code == 204
    assert proxied == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "[::1]", "localhost"])
def test_no_loopback_address_is_asked_of_the_proxy(proxied: list[str], host: str) -> None:
    url = f"http://{host}:1/"
    with http_client(url, 60.0) as client, pytest.raises(httpx.ConnectError):
        client.get(url)
    assert proxied == []


@pytest.mark.parametrize("host", ["127.0.0.1", "loki.example"])
def test_a_socks_proxy_of_the_environment_is_understood(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    url = f"http://{host}:1/"
    with http_client(url, 60.0) as client, pytest.raises(httpx.ConnectError):
        client.get(url)
