"""HTTP calls to servers of this machine and others."""

import ssl
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx


def http_client(url: str, timeout_seconds: float) -> httpx.Client:
    """Return a client for the server at `url`; use it as a context manager. Calls raise `httpx.HTTPError`.

    A loopback address (or 0.0.0.0) is reached directly, any other as HTTP_PROXY, ALL_PROXY and their kin say.
    `timeout_seconds` holds for each step of a call: to connect, to send, to wait for the next piece of the answer.
    """
    return httpx.Client(
        timeout=timeout_seconds,
        trust_env=not _is_loopback(url),
        verify=ssl.create_default_context(),  # the system's certificates, among them those of a company; not certifi's
    )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback or ip_address(host).is_unspecified
    except ValueError:
        return host == "localhost"
