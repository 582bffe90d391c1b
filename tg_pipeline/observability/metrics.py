"""Prometheus metrics of this process. Names are the ones dashboards ask for; labels are in the help texts."""

from prometheus_client import Counter, Gauge

RETRIES = Counter("retries", "Calls made again, by method and class of the error before.", ["target", "reason"])
LAST_RETRY_DELAY = Gauge("last_retry_delay_seconds", "The pause before the last call that was made again.", ["target"])
BREAKER_STATE = Gauge("breaker_state", "0 closed, 1 half-open, 2 open; as last seen.", ["component"])
BREAKER_OPENED = Counter("breaker_open", "How often this process opened the breaker.", ["component"])
RATE_LIMIT_HITS = Counter(
    "rate_limit_hits", "Floods Telegram answered with (flood, premium, takeout), by method.", ["source", "reason"]
)
FLOODWAIT_SECONDS = Counter("floodwait_seconds", "Seconds waited because Telegram asked to.")
FLOODWAIT_REMAINING = Gauge(
    "floodwait_remaining_seconds", "What is left of a wait Telegram asked for, by method.", ["source"]
)
STATE_STORE_DEGRADED = Gauge("state_store_degraded", "1 while Redis is set but unreachable and the local store serves.")
DEDUPLICATED_MESSAGES = Counter(
    "deduplicated_messages", "Messages that came again and were not kept twice.", ["source"]
)
