"""From settings to a leased, connected login."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, replace

from tg_pipeline.app.archive import peer_cache
from tg_pipeline.app.process import keep_metrics
from tg_pipeline.app.shared_state import lease_among_machines, state_store
from tg_pipeline.contracts.clock import Clock
from tg_pipeline.contracts.errors import SessionRevoked, SettingsError, StateUnavailable
from tg_pipeline.contracts.state import StateStore
from tg_pipeline.machine.clock import SystemClock
from tg_pipeline.machine.lease import lease
from tg_pipeline.settings import Settings
from tg_pipeline.telegram.connection import Connection, connected
from tg_pipeline.telegram.proxy import Proxy, parse_proxy
from tg_pipeline.telegram.resolver import Resolver
from tg_pipeline.telegram.sessions import Session, load_sessions
from tg_pipeline.telegram.wire import Api, trust_server_key

DEAD_SESSIONS = "dead_sessions"
"""A hash of the state store: fingerprints of sessions that Telegram refused."""


@dataclass(frozen=True, slots=True)
class Login:
    """A connection that is this process's alone, and what its account knows of chats; `is_only`: of the one session.

    `session` is the session's fingerprint.
    """

    session: str
    connection: Connection
    resolver: Resolver
    store: StateStore
    is_only: bool

    def metered(self) -> "Login":
        """The same login for another chat, whose calls and waits are counted apart."""
        connection = self.connection.metered()
        return replace(self, connection=connection, resolver=self.resolver.over(connection))


def telegram_api(settings: Settings) -> Api:
    """The API credentials and the proxy; trusts a test server's key where one is set. Raises SettingsError."""
    if settings.telegram_api_id is None or settings.telegram_api_hash is None:
        missing = "TELEGRAM_API_ID" if settings.telegram_api_id is None else "TELEGRAM_API_HASH"
        raise SettingsError(
            f"{missing} is not set. Get both at https://my.telegram.org and write them into .env.", field=missing
        )
    if settings.server_key_path is not None:
        try:
            trust_server_key(settings.server_key_path.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"TELEGRAM_SERVER_PUBLIC_KEY: {error}.", field="TELEGRAM_SERVER_PUBLIC_KEY") from error
    return Api(settings.telegram_api_id, settings.telegram_api_hash.get_secret_value(), telegram_proxy(settings))


def telegram_proxy(settings: Settings) -> Proxy | None:
    """The proxy, where one is set. SettingsError where it cannot be used."""
    return parse_proxy(settings.telegram_proxy.get_secret_value()) if settings.telegram_proxy else None


def sessions_here(settings: Settings) -> dict[str, Session]:
    """The sessions by fingerprint. Raises SessionMissing."""
    return {s.fingerprint: s for s in load_sessions(settings.home / "sessions", settings.session_secrets)}


@asynccontextmanager
async def logged_in(
    settings: Settings, clock: Clock | None = None, *, among: Sequence[str] | None = None
) -> AsyncIterator[Login]:
    """Lease one of the sessions, whichever is free first, and connect with it.

    `among`: the fingerprints of those that will do, the best first; all if left out.
    Raises SettingsError, SessionMissing, LeaseUnavailable, and what connecting raises.
    """
    keep_metrics(settings)
    api = telegram_api(settings)
    sessions = sessions_here(settings)
    names = list(sessions if among is None else among)
    what = "The Telegram session" if len(names) == 1 else f"Each of the {len(names)} Telegram sessions"
    cache = peer_cache(settings)
    with closing(state_store(settings, clock)) as store:
        async with (
            lease(
                settings.session_leases,
                names,
                what=what,
                wait_seconds=settings.lease_wait_seconds,
                clock=clock,
            ) as fingerprint,
            lease_among_machines(
                settings,
                store,
                f"session:{fingerprint}",
                settings.session_leases,
                what="The Telegram session",
                clock=clock or SystemClock(),
            ),
            _noting_whether_it_lives(store, fingerprint),
            connected(
                sessions[fingerprint].secret,
                api,
                settings.call_policy,
                store,
                (account := cache.account_of(fingerprint)) or fingerprint,
                clock,
            ) as connection,
        ):
            if account is None:
                account = connection.gate.account = str(await connection.own_id())
                cache.remember_account(fingerprint, account)
            resolver = Resolver(connection, cache, account)
            yield Login(fingerprint, connection, resolver, store, is_only=len(sessions) == 1)


@asynccontextmanager
async def _noting_whether_it_lives(store: StateStore, fingerprint: str) -> AsyncIterator[None]:
    """For people and alerts: a session that Telegram refuses is among DEAD_SESSIONS until it is accepted again."""
    try:
        yield
    except SessionRevoked as error:
        error.session = fingerprint
        with suppress(StateUnavailable):
            store.hash_set(DEAD_SESSIONS, {fingerprint: b"1"})
        raise
    with suppress(StateUnavailable):
        if fingerprint in store.hash_get(DEAD_SESSIONS):
            store.hash_set(DEAD_SESSIONS, {fingerprint: None})
