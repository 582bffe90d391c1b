"""A guard for tests and the demo: a process that has it refuses every connection beyond loopback.

A client with the wrong settings then ends with a sentence instead of reaching Telegram. The guard is an audit hook
(PEP 578), below every Python library that opens sockets and impossible to take off again. Sockets that C libraries
open by themselves (gRPC, uvloop) raise no audit events; here they carry Dagster's own local traffic only.

This file uses nothing but the standard library: `loopback_site/sitecustomize.py` loads it by its path.
"""

import ipaddress
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SITE = Path(__file__).with_name("loopback_site")
_INET_FAMILIES = (2, 10)  # AF_INET and AF_INET6 of Linux, as numbers: importing socket costs every process 4 ms
_WITH_ADDRESS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_WITH_HOST = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})
_GUARDED = _WITH_ADDRESS | _WITH_HOST


class BeyondLoopbackError(RuntimeError):
    """Something tried to reach another machine. Not an OSError, so that no client takes it for a bad network."""


def install() -> None:
    """Refuse connections beyond loopback in this process from now on. A second call does no harm."""
    sys.addaudithook(_hook)


def guarded_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` such that every Python started with it, and all that those start, is guarded from birth."""
    path = [str(_SITE), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    return {**environment, "PYTHONPATH": os.pathsep.join(dict.fromkeys(path))}


def check(event: str, args: tuple[Any, ...]) -> None:
    """Judge one audit event of `_GUARDED`.

    Raises:
        BeyondLoopbackError: its address or host is neither on loopback nor local by nature (a Unix socket, netlink).
    """
    if event in _WITH_HOST:
        host = args[0]
    elif args[0].family in _INET_FAMILIES and args[1] is not None:
        host = args[1][0]
    else:
        return
    if not _is_local(host):
        message = f"This process may talk to 127.0.0.1 only, and something asked for {host!r} ({event})."
        raise BeyondLoopbackError(message)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event in _GUARDED:  # one look-up: the hook sees every import, open and exec of the process
        check(event, args)


def _is_local(host: str | bytes | bytearray | None) -> bool:
    """Whether a host as given to the socket module means this machine; of names only `localhost` does."""
    if isinstance(host, bytes | bytearray):
        host = host.decode("ascii", "replace")
    if host in {None, "", "localhost"}:
        return True
    try:
        address = ipaddress.ip_address(str(host))
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified
