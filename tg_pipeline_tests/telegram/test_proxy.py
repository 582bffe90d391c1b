"""TELEGRAM_PROXY: what is read, what is refused, and that no secret is repeated."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote

import pytest
from telethon.network import connection as transports

from tg_pipeline.contracts.errors import SettingsError
from tg_pipeline.telegram.proxy import parse_proxy


def base64(secret: bytes) -> str:
    return b64encode(secret).decode()


def urlsafe_base64(secret: bytes) -> str:
    return urlsafe_b64encode(secret).decode().rstrip("=")


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


PLAIN = bytes(range(0xE0, 0xF0))
SECRETS = [SECRET_OF + PLAIN for SECRET_OF in (b"", b"\xdd")] + [b"\xee" * 16, b"\xdd" * 16, b"\xdd" * 17]


@pytest.mark.parametrize("secret", SECRETS, ids=bytes.hex)
@pytest.mark.parametrize("write", [bytes.hex, lambda s: s.hex().upper(), base64, urlsafe_base64])
def test_plain_and_padded_secrets_reach_the_proxy_as_they_are(secret: bytes, write: Callable[[bytes], str]) -> None:
    proxy = parse_proxy(f"mtproto://{quote(write(secret), safe='')}@proxy.example:443")
    assert transports.ConnectionTcpMTProxyRandomizedIntermediate.normalize_secret(proxy.address[2]) == secret[-16:]


@pytest.mark.parametrize("domain", [b"google.com", b"a", b"", b"x" * 60])
@pytest.mark.parametrize("write", [bytes.hex, lambda s: s.hex().upper(), base64, urlsafe_base64])
def test_a_fake_tls_secret_is_refused_with_the_reason(domain: bytes, write: Callable[[bytes], str]) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_proxy(f"mtproto://{quote(write(bytes([0xEE]) + PLAIN + domain), safe='')}@proxy.example:443")
    assert "TLS" in str(refused.value)
    assert refused.value.field == "TELEGRAM_PROXY"


@pytest.mark.parametrize("length", [1, 15, 17, 18, 32])
def test_a_secret_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_proxy(f"mtproto://{(bytes([1]) * length).hex()}@proxy.example:443")
    assert "TLS" not in str(refused.value)


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
