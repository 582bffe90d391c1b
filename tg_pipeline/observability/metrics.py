"""Every metric, in one list: `CATALOG`. Dashboards and alerting rules may ask for nothing else.

What happens in a process is counted there and summed in the state store (`counts`). What is a state rather than an
event - a breaker, a queue, a lag - is read where the state is kept, when somebody asks for it. docs/metrics.md is made
of this list.
"""

from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """`name` as Prometheus knows it; `unit` what a value of 1 stands for; `reserved` what will bring it, if not here.

    `derived`: read from the state when asked for, not counted in a process.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    unit: str
    derived: bool = False
    reserved: str = ""

    def family(self) -> Family:
        """What an exposition gathers its samples in; empty."""
        return Family(self.name.removesuffix("_total"), self.help, self.kind)


CATALOG: Final[dict[str, Metric]] = {}
COUNTED: Final[list[Collector]] = []
"""Those that a process counts itself, with their values in this process."""

DURATION_BUCKETS: Final = (0.5, 1, 2.5, 5, 10, 20, 30, 60, 90, 120, 180, 300, 600, 1_800, 3_600)
"""Seconds: from a day without messages to a first backfill of years; 120 is what the objective asks for."""


def _list(metric: Metric) -> Metric:
    return CATALOG.setdefault(metric.name, metric)


def _counter(name: str, help_: str, *labels: str, unit: str) -> Counter:
    _list(Metric(name, "counter", help_, labels, unit))
    COUNTED.append(counter := Counter(name.removesuffix("_total"), help_, labels))
    return counter


def _gauge(name: str, help_: str, *labels: str, unit: str) -> Gauge:
    """A gauge whose value is the last one that any process flushed."""
    _list(Metric(name, "gauge", help_, labels, unit))
    COUNTED.append(gauge := Gauge(name, help_, labels))
    return gauge


def _histogram(name: str, help_: str, *labels: str, unit: str) -> Histogram:
    _list(Metric(name, "histogram", help_, labels, unit))
    COUNTED.append(histogram := Histogram(name, help_, labels, buckets=DURATION_BUCKETS))
    return histogram


def _derived(name: str, kind: Kind, help_: str, *labels: str, unit: str) -> Metric:
    return _list(Metric(name, kind, help_, labels, unit, derived=True))


def _reserved(name: str, kind: Kind, help_: str, *labels: str, unit: str, until: str) -> None:
    _list(Metric(name, kind, help_, labels, unit, reserved=until))


# --- calls ------------------------------------------------------------------------------------------------------------
CALLS = _counter("telegram_calls_total", "Calls sent to Telegram, every attempt.", "target", unit="calls")
RETRIES = _counter(
    "retries_total", "Calls made again, by method and class of the error before.", "target", "reason", unit="calls"
)
LAST_RETRY_DELAY = _gauge(
    "last_retry_delay_seconds",
    "The pause before the last call that was made again.",
    "target",
    unit="seconds",
)
RATE_LIMIT_HITS = _counter(
    "rate_limit_hits_total",
    "Floods Telegram answered with (flood, premium, takeout), by method.",
    "source",
    "reason",
    unit="answers",
)
FLOODWAIT_ASKED = _counter("floodwait_asked_seconds_total", "Seconds that Telegram asked to wait.", unit="seconds")
FLOODWAIT_SLEPT = _counter(
    "floodwait_slept_seconds_total",
    "Seconds slept because Telegram asked to wait: a little longer than asked, by each process that waits.",
    unit="seconds",
)
BREAKER_OPENED = _counter("breaker_open_total", "How often the circuit breaker opened.", "component", unit="openings")
BREAKER_STATE = _derived("breaker_state", "gauge", "0 closed, 1 open, 2 half-open.", "component", unit="state")
FLOODWAIT_REMAINING = _derived(
    "floodwait_remaining_seconds", "gauge", "What is left of a wait Telegram asked for.", "source", unit="seconds"
)
LEARNED_RATE = _derived(
    "learned_rate_per_second", "gauge", "Calls a second that the budget allows.", "source", unit="calls per second"
)
SESSIONS = _derived(
    "telegram_sessions",
    "gauge",
    "Sessions that are free, leased, dead (Telegram refused them).",
    "state",
    unit="sessions",
)
STATE_STORE_DEGRADED = _derived(
    "state_store_degraded", "gauge", "1 while Redis is set but unreachable and the local store serves.", unit="state"
)

LOG_LINES_DROPPED = _counter(
    "log_lines_dropped_total",
    "Log lines that did not reach Loki: full (queue), refused, unsent at the end of a process.",
    "reason",
    unit="lines",
)

# --- fetching ---------------------------------------------------------------------------------------------------------
FETCH_DURATION = _histogram(
    "fetch_duration_seconds",
    "Fetches of a range: success, stopped, failed; from the first call to the last file.",
    "chat",
    "status",
    unit="seconds",
)
MESSAGES_FETCHED = _counter(
    "messages_fetched_total", "Messages in the pages of history that were read.", "chat", unit="messages"
)
DEDUPLICATED_MESSAGES = _counter(
    "deduplicated_messages_total", "Messages that came again and were not kept twice.", "source", unit="messages"
)
DAYS_HELD_BACK = _counter(
    "days_held_back_total",
    "Days whose read lacked too many archived messages to be believed; their files stay as they were.",
    "chat",
    unit="days",
)
DAYS_NOT_VISIBLE = _counter(
    "days_not_visible_total",
    "Days that were read by an account that may not see all of them.",
    "chat",
    unit="days",
)
UNREADABLE_MESSAGES = _counter(
    "unreadable_messages_total",
    "Messages that could not be decoded; placeholders stand for them.",
    "chat",
    unit="messages",
)
FETCH_RUNS = _counter(
    "fetch_runs_total",
    "Runs that fetched a chat, by how that ended for good: success, failed. One that is canceled or killed is neither.",
    "chat",
    "status",
    unit="runs",
)
FETCH_LAG = _derived(
    "fetch_lag_seconds", "gauge", "Since a fetch last reached the chat's newest message.", "chat", unit="seconds"
)
RUNS = _derived("runs_total", "counter", "Runs of Dagster that succeeded or failed, not those canceled.", unit="runs")
RUNS_SUCCESSFUL = _derived("runs_successful_total", "counter", "Those of them that succeeded.", unit="runs")

# --- commands and events ----------------------------------------------------------------------------------------------
COMMANDS = _derived(
    "commands_total", "counter", "Commands that ended: success, failed, canceled, rejected.", "status", unit="commands"
)
EVENTS_PUBLISHED = _derived("events_published_total", "counter", "Events published.", "event", unit="events")
QUEUE_DEPTH = _derived(
    "commands_queue_depth", "gauge", "Commands that are pushed, waiting, in_flight, dead.", "place", unit="commands"
)
OLDEST_COMMAND = _derived(
    "commands_oldest_age_seconds", "gauge", "Age of the oldest command that has not ended.", unit="seconds"
)
UNTAKEN = _derived(
    "commands_untaken_seconds", "gauge", "How long no reader has taken the commands that are pushed.", unit="seconds"
)

# --- scheduling -------------------------------------------------------------------------------------------------------
SCHEDULER_LAST_TICK = _derived(
    "scheduler_last_tick_ts_seconds",
    "gauge",
    "POSIX time of the last tick: of our sensors and Dagster's daemons, that of the longest silent; 0 for never.",
    unit="seconds",
)
SCHEDULER_INTERVAL = _derived(
    "scheduler_interval_seconds", "gauge", "The longest time from tick to tick that is usual.", unit="seconds"
)

RUNS_STALLED = _derived(
    "runs_stalled_seconds",
    "gauge",
    "How long runs have been queued while none was under way, launched or ended; 0 where none is queued.",
    unit="seconds",
)

# --- to come ----------------------------------------------------------------------------------------------------------
_QUALITY = "data quality"
_NEAR_LIVE = "near-live scheduler"
_reserved("duplicates_total", "counter", "Duplicates found in archived days.", "chat", unit="messages", until=_QUALITY)
_reserved(
    "validation_failures_total", "counter", "Archived days that break a rule.", "chat", unit="days", until=_QUALITY
)
_reserved(
    "share_of_missing_fields", "gauge", "Of a day's fields, 0 to 1.", "chat", "field", unit="share", until=_QUALITY
)
_reserved(
    "parser_retries_total", "counter", "Fetches made again, by cause.", "reason", unit="fetches", until=_NEAR_LIVE
)
_reserved(
    "parser_floodwait_seconds_total", "counter", "Waited in fetches for Telegram.", unit="seconds", until=_NEAR_LIVE
)
_reserved(
    "parser_mode_forced_total", "counter", "Historical fetches forced.", "reason", unit="fetches", until=_NEAR_LIVE
)
_reserved("posts_parsed_total", "counter", "Posts read, by mode.", "mode", unit="posts", until=_NEAR_LIVE)
_reserved("parser_hwm_age_seconds", "gauge", "Age of the watermark.", "channel_id", unit="seconds", until=_NEAR_LIVE)
_reserved(
    "scheduler_lock_acquired_total", "counter", "Attempts to take the lock.", "status", unit="times", until=_NEAR_LIVE
)
_reserved("parser_empty_ticks_total", "counter", "Ticks that found nothing new.", unit="ticks", until=_NEAR_LIVE)
