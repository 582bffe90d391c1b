"""2FA: checking a password that never crosses the wire (core.telegram.org/api/srp, the server's half)."""

import hashlib
import os

from telethon.password import big_num_for_hash, compute_hash, sha256, xor
from telethon.tl import types as tl

from tg_pipeline.simulator.dh import GENERATOR, PRIME

PRIME_BYTES = PRIME.to_bytes(256, "big")
GENERATOR_BYTES = big_num_for_hash(GENERATOR)
MULTIPLIER = int.from_bytes(sha256(PRIME_BYTES, GENERATOR_BYTES), "big")


class PasswordCheck:
    """The verifier of one password, and the challenge that is open for it."""

    def __init__(self, password: str) -> None:
        self.algorithm = tl.PasswordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow(
            salt1=os.urandom(40), salt2=os.urandom(16), g=GENERATOR, p=PRIME_BYTES
        )
        x = int.from_bytes(compute_hash(self.algorithm, password), "big")
        self._verifier = pow(GENERATOR, x, PRIME)
        self.challenge_id = 0
        self.challenge = b""
        self._secret = 0

    def renew(self) -> None:
        """Open a new challenge in the place of the last."""
        self.challenge_id = int.from_bytes(os.urandom(8), "little", signed=True)
        self._secret = int.from_bytes(os.urandom(256), "big")
        public = (MULTIPLIER * self._verifier + pow(GENERATOR, self._secret, PRIME)) % PRIME
        self.challenge = big_num_for_hash(public)

    def accepts(self, client_public: bytes, proof: bytes) -> bool:
        """Whether the proof (M1) shows that the client knows the password."""
        a = int.from_bytes(client_public, "big")
        u = int.from_bytes(sha256(client_public, self.challenge), "big")
        shared = pow(a * pow(self._verifier, u, PRIME), self._secret, PRIME)
        expected = sha256(
            xor(sha256(PRIME_BYTES), sha256(GENERATOR_BYTES)),
            sha256(self.algorithm.salt1),
            sha256(self.algorithm.salt2),
            client_public,
            self.challenge,
            hashlib.sha256(big_num_for_hash(shared)).digest(),
        )
        return bool(0 < a < PRIME and expected == proof)
