"""Authorization keys: which the server knows, who is logged in with them, and which are dead."""

import random
from dataclasses import dataclass, field

from telethon.crypto import AuthKey
from telethon.sessions import StringSession

from tg_pipeline.simulator.client import Client
from tg_pipeline.simulator.mtproto import key_id_of


@dataclass(eq=False)
class Authorization:
    """One authorization key at one data centre, which is what a session string holds.

    `logged_in` says whether the account is signed in with it; while it is not, all but a few methods are refused.
    `password_needed`: the code was right and the 2FA password is still to come.
    """

    key: bytes
    dc_id: int
    salt: int
    logged_in: bool = False
    password_needed: bool = False
    connections: set[Client] = field(default_factory=set)

    def log_in(self) -> None:
        """The account is signed in with this key from now on."""
        self.logged_in, self.password_needed = True, False

    def log_out(self) -> None:
        """The key is worth nothing until somebody logs in with it again."""
        self.logged_in = self.password_needed = False


class Authorizations:
    """All keys of one server, by key id."""

    def __init__(self, seed: int) -> None:
        self._by_key_id: dict[int, Authorization] = {}
        # Seeded, so that a session string outlives a restart of the server on the same port.
        self._random = random.Random(f"sessions:{seed}")

    def get(self, key_id: int) -> Authorization | None:
        """The authorization whose key has this id."""
        return self._by_key_id.get(key_id)

    def add(self, key: bytes, dc_id: int) -> Authorization:
        """Register the key of a finished handshake; nobody is logged in with it yet.

        Telethon drops leading zeros of a key, and its StringSession pads the result on the right: both spellings of
        a short key name the same authorization (they agree in the 136 bytes that encryption uses).
        """
        authorization = Authorization(key, dc_id, self._random.getrandbits(63))
        self._by_key_id[key_id_of(key)] = authorization
        self._by_key_id[key_id_of(key.ljust(256, b"\0"))] = authorization
        return authorization

    def issue(self, dc_id: int) -> Authorization:
        """A new key that is logged in already: what a session string made in advance holds."""
        authorization = self.add(self._random.randbytes(256), dc_id)
        authorization.log_in()
        return authorization


def session_text(authorization: Authorization, host: str, port: int) -> str:
    """The Telethon StringSession that names this key and the address of its data centre."""
    session = StringSession()
    session.set_dc(authorization.dc_id, host, port)
    session.auth_key = AuthKey(authorization.key)
    return str(session.save())
