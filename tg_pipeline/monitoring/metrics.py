"""What Prometheus gets: the sums of what processes counted, and what is read from the state when it asks.

Where METRICS_MODE is `both` the same sums come by two ways, scraped and pushed: to add them up, take the maximum
of the two first, as deploy/prometheus/rules does.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import uuid4

from prometheus_client import CollectorRegistry, generate_latest, push_to_gateway
from prometheus_client.exposition import CONTENT_TYPE_LATEST, basic_auth_handler, default_handler
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tg_pipeline.contracts.errors import TgPipelineError
from tg_pipeline.machine.locks import locked_file
from tg_pipeline.observability import counts, metrics
from tg_pipeline.settings import Settings

JOB = "tg-pipeline"
PUSH_SECONDS = 2.0
"""How long the Pushgateway may take to answer."""
LOCK_SECONDS = 5.0

Sample = tuple[metrics.Metric, Sequence[str], float]
"""A metric of the catalog, its labels' values in their order, and its value."""
Read = Callable[[], Iterable[Sample]]

log = logging.getLogger(__name__)


def exposition(settings: Settings, *reads: Read) -> tuple[bytes, str]:
    """The answer to a scrape, and its content type. What cannot be read is left out, and said in the log."""
    return generate_latest(_registry(*_sums(settings), *map(_Derived, reads))), CONTENT_TYPE_LATEST


def push(settings: Settings, *reads: Read) -> None:
    """Replace what the Pushgateway has of this instance: the sums, and in a group of its own what `reads` give.

    OSError where that fails; nothing where none is set or METRICS_MODE is `scrape`.
    """
    if not settings.pushes_metrics:
        return
    home = _home(settings)
    home.mkdir(parents=True, exist_ok=True)
    # One at a time: sums that were taken earlier and arrive later would look like counters that were reset.
    with locked_file(home / "push.lock", wait_seconds=LOCK_SECONDS):
        for collector in _sums(settings):  # while there is none, the Pushgateway keeps what it was given last
            _put(settings, JOB, _registry(collector))
        if reads:
            _put(settings, f"{JOB}-state", _registry(*map(_Derived, reads)))


@contextmanager
def pushed(settings: Settings) -> Iterator[None]:
    """Push the sums by interval while the block runs, and at its end; a failure is said once and fails nothing."""
    if not settings.pushes_metrics:
        yield
        return
    ended = threading.Event()

    def work() -> None:
        said = False
        while True:
            last = ended.wait(settings.metrics_push_interval_seconds)
            try:
                push(settings)
            except OSError as error:
                if not said:
                    log.warning("Metrics are not pushed: %s", error)
                said = True
            if last:
                return

    thread = threading.Thread(target=work, name="push-metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(LOCK_SECONDS + 2 * PUSH_SECONDS)


def _sums(settings: Settings) -> "list[_Sums]":
    """The sums, with what this process counted until now; none where they cannot be read."""
    from tg_pipeline.app.shared_state import state_store  # noqa: PLC0415 - brings Redis, which few need

    counts.flush()
    try:
        with closing(state_store(settings)) as store:
            found = counts.sums(store)
    except TgPipelineError as error:
        log.warning("What processes counted cannot be read: %s", error)
        return []
    return [_Sums(found)] if found else []


class _Sums(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


_unread: dict[str, str] = {}
"""Why they could not be read, as it was logged: a scrape every few seconds does not say it again."""


class _Derived(Collector):
    def __init__(self, read: Read) -> None:
        self._read = read
        self._name = getattr(read, "func", read).__qualname__

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        try:
            for metric, labels, value in self._read():
                family = families.setdefault(metric.name, metric.family())
                family.add_sample(metric.name, dict(zip(metric.labels, labels, strict=True)), value)
        except (TgPipelineError, OSError) as error:
            if _unread.get(self._name) != str(error):
                log.warning("Some metrics cannot be read: %s", error)
            _unread[self._name] = str(error)
        else:
            _unread.pop(self._name, None)
        return families.values()


def _registry(*collectors: Collector) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    return registry


def _put(settings: Settings, job: str, registry: CollectorRegistry) -> None:
    assert settings.pushgateway_url is not None  # noqa: S101 - the callers look
    parts = urlsplit(settings.pushgateway_url.get_secret_value())
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    def handler(url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes) -> Any:
        if not user:
            return default_handler(url, method, timeout, headers, data)
        return basic_auth_handler(url, method, timeout, headers, data, unquote(user), unquote(password))

    try:
        push_to_gateway(
            url, job, registry, grouping_key={"instance": _instance(settings)}, timeout=PUSH_SECONDS, handler=handler
        )
    except OSError as error:
        raise OSError(f"the Pushgateway at {url} does not take them ({error}).") from error


def _instance(settings: Settings) -> str:
    """A name of this home that stays the same as long as its metrics do, whatever the machine is called."""
    file = _home(settings) / "instance"
    if not file.exists():
        file.write_text(uuid4().hex[:12])
    return file.read_text()


def _home(settings: Settings) -> Path:
    return settings.home / "metrics"
