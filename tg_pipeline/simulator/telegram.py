"""The simulated Telegram: all its state, without a port.

Everything here runs in one event loop and nothing waits, so that the state needs no locks.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tg_pipeline.simulator.account import Account
from tg_pipeline.simulator.authorizations import Authorizations, session_text
from tg_pipeline.simulator.client import Client
from tg_pipeline.simulator.faults import Faults, FaultScript
from tg_pipeline.simulator.journal import Journal
from tg_pipeline.simulator.rsa_key import PUBLIC_KEY_PATH
from tg_pipeline.simulator.serialiser import People, Serialised, Serialiser
from tg_pipeline.simulator.world import World

HOST = "127.0.0.1"
HOME_DC = 2
AWAY_DC = 4
API_ID = 10_001
API_HASH = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class HistoryRules:
    """What is documented of history but was never measured on Telegram itself; each switch turns one rule round.

    `date_inclusive`: `offset_date` keeps messages of that very second (documented: strictly before).
    `date_wins`: `offset_date` beats `offset_id` where both are given.
    `cut_before_paging`: `min_id` and `max_id` choose the messages that the page is then taken from.
    `full_at_newest`: a page that would reach beyond the newest message slides back and comes full.
    """

    date_inclusive: bool = False
    date_wins: bool = False
    cut_before_paging: bool = False
    full_at_newest: bool = False


@dataclass(frozen=True)
class Options:
    """How a server behaves, besides the world it serves.

    `seed` decides the session strings. `password` is the account's second factor, if it has one. `latency` in seconds
    delays every answer. `journal` is a file to append to. `rules` turn round what is not certain of Telegram's history.
    `forbid_duplicates` kills a key that two connections use at once, as Telegram does. `clock` (POSIX seconds) says
    what time it is in the world, `monotonic` (seconds) drives the token buckets of the faults.
    """

    seed: int = 0
    password: str | None = None
    latency: float = 0.0
    journal: Path | None = None
    faults: FaultScript = field(default_factory=FaultScript)
    rules: HistoryRules = field(default_factory=HistoryRules)
    forbid_duplicates: bool = True
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


class Telegram:
    """A Telegram of one account. `ports` are those of its data centres, once a server listens there."""

    host = HOST
    api_id = API_ID
    api_hash = API_HASH
    public_key = PUBLIC_KEY_PATH
    home_dc = HOME_DC

    def __init__(self, world: World, options: Options) -> None:
        self.world = world
        self.options = options
        self.ports: dict[int, int] = {}
        self.control_port = 0
        self.journal = Journal(options.journal)
        self.faults = Faults(options.monotonic)
        self.faults.load(options.faults)
        self.authorizations = Authorizations(options.seed)
        # Before the first connection: a client that outlived a restart finds its key.
        self._first = self.authorizations.issue(HOME_DC)
        self.account = Account(world.self_user, options.password)
        self.people = People()
        self.serialiser = Serialiser(self.people)
        self.last_pages: dict[int, list[Serialised]] = {}
        self.connections: set[Client] = set()

    @property
    def port(self) -> int:
        """The port of the home data centre."""
        return self.ports[HOME_DC]

    @property
    def session(self) -> str:
        """The StringSession of the account that is there from the start."""
        return session_text(self._first, HOST, self.port)

    def new_session(self) -> str:
        """One more StringSession of the account, logged in, never used before."""
        return session_text(self.authorizations.issue(HOME_DC), HOST, self.port)
