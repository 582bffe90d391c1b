"""TELEGRAM_PROXY as one URL: `socks5://[user:password@]host:port`, `socks4://`, `http://`, or `mtproto://secret@host:port`."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from telethon.network import connection as transports

from tg_pipeline.contracts.errors import SettingsError

ALLOWED = "socks5://host:port, socks4://host:port, http://host:port (each with user:password@ before the host if needed), or mtproto://secret@host:port"  # noqa: E501


@dataclass(frozen=True, slots=True)
class Proxy:
    """What Telethon wants: a transport class and an address in that transport's form. Secrets stay out of the repr."""

    transport: type[transports.Connection]
    address: Any = field(repr=False)


def parse_proxy(url: str) -> Proxy:
    """Read the setting. A SettingsError lists what is allowed and does not repeat the value, a secret."""
    try:
        parts = urlsplit(url)
        host, port, scheme = parts.hostname, parts.port, parts.scheme
    except ValueError:
        host = port = scheme = None
    if not host or not port:
        raise SettingsError(f"TELEGRAM_PROXY: not a proxy address. Allowed: {ALLOWED}.")
    user = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    match scheme:
        case "socks5" | "socks4" | "http":
            address = {
                "proxy_type": scheme,
                "addr": host,
                "port": port,
                "username": user,
                "password": password,
                "rdns": True,
            }
            return Proxy(transports.ConnectionTcpFull, address)
        case "mtproto" if user:
            return Proxy(transports.ConnectionTcpMTProxyRandomizedIntermediate, (host, port, user))
        case _:
            raise SettingsError(f"TELEGRAM_PROXY: unknown kind of proxy. Allowed: {ALLOWED}.")
