"""What the shared state says of breakers and budgets: read, and left as it is."""

from collections.abc import Mapping
from dataclasses import dataclass

from tg_pipeline.contracts.policy import CallPolicy
from tg_pipeline.contracts.state import StateStore
from tg_pipeline.resilience import breaker as breakers
from tg_pipeline.resilience import budget as budgets
from tg_pipeline.resilience.gate import BREAKERS, BUDGETS, TELEGRAM


@dataclass(frozen=True, slots=True)
class BreakerView:
    """A component's breaker. It is "half_open" as soon as a call may try, though none has.

    `since`: when it came into that state, if it ever left the first one; `until`: when an open one lets a call try.
    """

    component: str
    state: breakers.State
    since: float | None
    until: float | None


@dataclass(frozen=True, slots=True)
class BudgetView:
    """An account's budget for a method: calls a second, and until when Telegram lets none through, and why."""

    account: str
    method: str
    rate: float
    blocked_until: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Overview:
    """All that is known at `now`. Times are of the store's clock; `now` is what they are to be measured from."""

    now: float
    breakers: tuple[BreakerView, ...]
    budgets: tuple[BudgetView, ...]


def overview(store: StateStore, policy: CallPolicy, others: Mapping[str, CallPolicy] | None = None) -> Overview:
    """Every breaker and budget in the store, by name; Telegram's breaker also while nothing failed. StateUnavailable.

    `others` are the policies of components and accounts that do not go by `policy`.
    """
    policies = others or {}
    values = store.read(*sorted({f"{BREAKERS}{TELEGRAM}", *store.keys(BREAKERS)}), *store.keys(BUDGETS))
    now = store.now()
    seen: list[BreakerView] = []
    held: list[BudgetView] = []
    for key, value in values.items():
        if key.startswith(BREAKERS):
            component = key.removeprefix(BREAKERS)
            seen.append(_breaker(component, value, policies.get(component, policy), now))
        else:
            account, _, method = key.removeprefix(BUDGETS).rpartition(":")
            held.append(_budget(account, method, value, policies.get(account, policy), now))
    return Overview(now, tuple(seen), tuple(held))


def _breaker(component: str, value: bytes | None, policy: CallPolicy, now: float) -> BreakerView:
    breaker = breakers.parse(value, policy.breaker, now)
    since = breaker.transitions[-1][0] if breaker.transitions else None
    match breaker.state:
        case "open" if now >= breaker.open_until:
            return BreakerView(component, "half_open", breaker.open_until, None)
        case "open":
            return BreakerView(component, "open", since, breaker.open_until)
        case state:
            return BreakerView(component, state, since, None)


def _budget(account: str, method: str, value: bytes | None, policy: CallPolicy, now: float) -> BudgetView:
    budget = budgets.parse(value, policy.rate_of(method), now)
    if budget.blocked_until is None or budget.blocked_until <= now:
        return BudgetView(account, method, budget.rate)
    return BudgetView(account, method, budget.rate, budget.blocked_until, budget.flood_reason)
