"""TELEGRAM_PROXY as one URL: `socks5://[user:password@]host:port`, `socks4://`, `http://`, or `mtproto://secret@host:port`."""

import base64
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from telethon.network import connection as transports

from tg_pipeline.contracts.errors import SettingsError

ALLOWED = "socks5://host:port, socks4://host:port, http://host:port (each with user:password@ before the host if needed), or mtproto://secret@host:port"  # noqa: E501
SECRET_BYTES = 16
_PADDED, _FAKE_TLS = b"\xdd", b"\xee"


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
        case "mtproto":
            # Telethon cuts off the first two letters where they are dd or ee, also those of a plain secret.
            secret = f"dd{_secret(user or '').hex()}"
            return Proxy(where, transports.ConnectionTcpMTProxyRandomizedIntermediate, (host, port, secret))
        case _:
            raise SettingsError(f"TELEGRAM_PROXY: unknown kind of proxy. Allowed: {ALLOWED}.", field="TELEGRAM_PROXY")


def _secret(text: str) -> bytes:
    """The 16 bytes of a secret in hexadecimal or base64, with or without `dd` before it. SettingsError for any other.

    That of a fake-TLS proxy begins with `ee` and ends with a domain (core.telegram.org/mtproto/mtproto-transports).
    Telethon would drop both and then speak to the proxy without TLS, which never answers.
    """
    readings = [secret for secret in (_hexadecimal(text), _base64(text)) if secret]
    for secret in readings:
        if len(secret) == SECRET_BYTES:
            return secret
        if len(secret) == SECRET_BYTES + 1 and secret.startswith(_PADDED):
            return secret.removeprefix(_PADDED)
    if any(secret.startswith(_FAKE_TLS) and len(secret) > SECRET_BYTES for secret in readings):
        raise SettingsError(
            "TELEGRAM_PROXY: this secret begins with ee, so its proxy speaks fake TLS, which is not supported. "
            f"Use a proxy with another kind of secret. Allowed: {ALLOWED}.",
            field="TELEGRAM_PROXY",
        )
    raise SettingsError(
        "TELEGRAM_PROXY: not an MTProto proxy's secret, which is 16 bytes in hexadecimal or base64, or dd and these. "
        f"Allowed: {ALLOWED}.",
        field="TELEGRAM_PROXY",
    )


def _hexadecimal(text: str) -> bytes | None:
    return bytes.fromhex(text) if len(text) % 2 == 0 and re.fullmatch("[0-9a-fA-F]+", text) else None


def _base64(text: str) -> bytes | None:
    text = text.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return None
