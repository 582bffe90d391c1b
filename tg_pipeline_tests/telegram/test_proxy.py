"""TELEGRAM_PROXY: what is read, what is refused, and that no secret is repeated."""

import pytest
from telethon.network import connection as transports

from tg_pipeline.contracts.errors import SettingsError
from tg_pipeline.telegram.proxy import parse_proxy

SECRET = "dd" + "0123456789abcdef" * 2


@pytest.mark.parametrize("kind", ["socks5", "socks4", "http"])
def test_a_proxy_with_a_login_is_read(kind: str) -> None:
    proxy = parse_proxy(f"{kind}://us%40er:p%3Ass@proxy.example:1080")
    assert proxy.transport is transports.ConnectionTcpFull
    assert proxy.address["proxy_type"] == kind
    assert (proxy.address["addr"], proxy.address["port"]) == ("proxy.example", 1080)
    assert (proxy.address["username"], proxy.address["password"]) == ("us@er", "p:ss")


def test_a_proxy_without_a_login_is_read() -> None:
    address = parse_proxy("socks5://127.0.0.1:9050").address
    assert (address["username"], address["password"]) == (None, None)


def test_an_mtproto_proxy_is_read() -> None:
    proxy = parse_proxy(f"mtproto://{SECRET}@proxy.example:443")
    assert issubclass(proxy.transport, transports.ConnectionTcpMTProxyRandomizedIntermediate)
    assert proxy.address == ("proxy.example", 443, SECRET)


@pytest.mark.parametrize(
    "url",
    [
        "hunter2",
        "socks5://hunter2@",
        "socks5://user:hunter2@host",
        "socks5://user:hunter2@host:0",
        "socks5://user:hunter2@host:99999",
        "socks5://user:hunter2@host:port",
        "ftp://user:hunter2@host:21",
        "mtproto://host:443",
        "mtproto://hunter2@host:443",
        "socks5://[hunter2:1080",
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^TELEGRAM_PROXY: .*Allowed: socks5://host:port") as refused:
        parse_proxy(url)
    assert "hunter2" not in str(refused.value)


def test_a_secret_is_not_in_the_repr() -> None:
    assert SECRET not in repr(parse_proxy(f"mtproto://{SECRET}@host:443"))
    assert "p4ss" not in repr(parse_proxy("http://user:p4ss@host:80"))
