"""TELEGRAM_PROXY as one URL: `socks5://[user:password@]host:port`, `socks4://`, `http://`, or `mtproto://secret@host:port`."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from telethon.network import connection as transports

from tg_pipeline.contracts.errors import SettingsError

ALLOWED = "socks5://host:port, socks4://host:port, http://host:port (each with user:password@ before the host if needed), or mtproto://secret@host:port"  # noqa: E501
SECRET_BYTES = 16


@dataclass(frozen=True, slots=True)
class Proxy:
    """What Telethon wants: a transport class and an address in that transport's form. Secrets stay out of the repr.

    `where` is host:port, for people.
    """

    where: str
    transport: type[transports.Connection]
    address: Any = field(repr=False)


def parse_proxy(url: str) -> Proxy:
    """Read the setting. A SettingsError lists what is allowed and does not repeat the value, a secret."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise SettingsError(f"TELEGRAM_PROXY: not an address. Allowed: {ALLOWED}.", field="TELEGRAM_PROXY") from None
    if not host or not port:
        raise SettingsError(f"TELEGRAM_PROXY: host or port is missing. Allowed: {ALLOWED}.", field="TELEGRAM_PROXY")
    where = f"{host}:{port}"
    user = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    match parts.scheme:
        case "socks5" | "socks4" | "http" as kind:
            address = {
                "proxy_type": kind,
                "addr": host,
                "port": port,
                "username": user,
                "password": password,
                "rdns": True,
            }
            return Proxy(where, transports.ConnectionTcpFull, address)
        case "mtproto" if user and _is_secret(user):
            return Proxy(where, transports.ConnectionTcpMTProxyRandomizedIntermediate, (host, port, user))
        case "mtproto":
            raise SettingsError(
                f"TELEGRAM_PROXY: not an MTProto proxy's secret. Allowed: {ALLOWED}.", field="TELEGRAM_PROXY"
            )
        case _:
            raise SettingsError(f"TELEGRAM_PROXY: unknown kind of proxy. Allowed: {ALLOWED}.", field="TELEGRAM_PROXY")


def _is_secret(text: str) -> bool:
    """Whether Telethon finds the 16 bytes of a secret in the text (hexadecimal or base64, `dd` or `ee` before it)."""
    try:
        secret = transports.ConnectionTcpMTProxyRandomizedIntermediate.normalize_secret(text)
    except ValueError:
        return False
    return len(secret) == SECRET_BYTES
