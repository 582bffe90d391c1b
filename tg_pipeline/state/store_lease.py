"""A lease in the state store, kept alive while it is held: what may be used on one of several machines at a time."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tg_pipeline.contracts.clock import Clock
from tg_pipeline.contracts.errors import LeaseUnavailable, StateUnavailable
from tg_pipeline.contracts.state import Lease, StateStore

TTL_SECONDS = 60.0
RENEWALS_PER_TTL = 4
POLL_SECONDS = 0.5
ANOTHER_MACHINE = "another machine"

log = logging.getLogger(__name__)


@asynccontextmanager
async def store_lease(
    store: StateStore, name: str, holder: str, *, what: str, wait_seconds: float, clock: Clock
) -> AsyncIterator[None]:
    """Hold the lease while the block runs, waiting up to `wait_seconds` for it.

    It is the holder's, not the process's: one that was killed is succeeded at once by the next of the same holder, who
    must have a lock of their own among them. `what` is how messages call the thing leased. Raises LeaseUnavailable
    where another holder has it, also in the middle of the block, which then is cancelled; StateUnavailable.
    """
    lease = await _acquired(store, name, holder, what=what, wait_seconds=wait_seconds, clock=clock)
    scope = asyncio.timeout(None)
    try:
        async with scope:
            renewing = asyncio.create_task(_renew(store, lease, scope))
            try:
                yield
            finally:
                renewing.cancel()
                with suppress(StateUnavailable):
                    store.release(lease)
    except TimeoutError:
        if not scope.expired():
            raise
        raise LeaseUnavailable(
            f"{what} was taken over by another machine; nothing more is read here.", holder=ANOTHER_MACHINE
        ) from None


async def _acquired(
    store: StateStore, name: str, holder: str, *, what: str, wait_seconds: float, clock: Clock
) -> Lease:
    give_up = clock.steady() + wait_seconds
    waiting = False
    while (lease := store.acquire(name, holder, ttl_seconds=TTL_SECONDS)) is None:
        if clock.steady() >= give_up:
            raise LeaseUnavailable(
                f"{what} is in use on another machine; waited {wait_seconds:g} s for it.", holder=ANOTHER_MACHINE
            )
        if not waiting:
            log.warning("%s is in use on another machine; waiting up to %g s.", what, wait_seconds)
            waiting = True
        await clock.sleep(POLL_SECONDS)
    return lease


async def _renew(store: StateStore, lease: Lease, scope: asyncio.Timeout) -> None:
    """Keep the lease; where it was lost with the store's data, take it again; where another has it, end the block."""
    while True:
        await asyncio.sleep(TTL_SECONDS / RENEWALS_PER_TTL)  # the store's life of a lease goes by real time
        try:
            if store.renew(lease, ttl_seconds=TTL_SECONDS):
                continue
            again = store.acquire(lease.name, lease.holder, ttl_seconds=TTL_SECONDS)
        except StateUnavailable as error:
            log.warning("%s The lease is kept as long as it lasts.", error)
            continue
        if again is None:
            scope.reschedule(asyncio.get_running_loop().time())
            return
        lease = again
