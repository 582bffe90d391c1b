"""Spans: what took how long, sent to an OpenTelemetry collector where one is set. docs/traces.md lists them.

While none is set nothing of OpenTelemetry is loaded, and `span` costs a look at a variable. A span holds the class of
the error that ended it and never its sentence: what a collector keeps is out of our hands.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import UUID

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Tracer

SERVICE = "tg-pipeline"
EXPORT_SECONDS = 2.0
"""How long the collector may take to answer."""

Attributes = Mapping[str, str | int | float | bool]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SpanId:
    """A span that is known by what it is about: other processes can be its children without having met it.

    `trace` has 128 bits, `span` 64; both as the W3C's Trace Context has them, never zero.
    """

    trace: int
    span: int

    @classmethod
    def of(cls, trace: str, *about: object) -> "SpanId":
        """Of the trace that `trace`, a UUID, names: each gives the other."""
        digest = hashlib.sha256("\0".join(map(str, (trace, *about))).encode()).digest()
        return cls(UUID(trace).int or 1, int.from_bytes(digest[:8]) or 1)


@dataclass(slots=True)
class _Sending:
    """`endpoint` is None while tracing is off."""

    endpoint: str | None = None
    tracer: "Tracer | None" = None
    provider: "TracerProvider | None" = None


_sending = _Sending()
_chosen: ContextVar[SpanId | None] = ContextVar("chosen span", default=None)


def send_to(endpoint: str, headers: Mapping[str, str]) -> None:
    """Trace this process from here on, to the collector at this address of OTLP over HTTP. Twice is as once."""
    if _sending.endpoint != endpoint:
        stop_sending()
        _sending.endpoint, _sending.provider = endpoint, _provider(_exporter(endpoint, headers))
        _sending.tracer = _sending.provider.get_tracer(SERVICE)


def stop_sending() -> None:
    """Send what is left, and trace no more."""
    provider = _sending.provider
    _sending.endpoint = _sending.tracer = _sending.provider = None
    if provider is not None:
        provider.shutdown()


def is_tracing() -> bool:
    """Whether spans are sent."""
    return _sending.tracer is not None


def send_now() -> None:
    """Send what has ended so far: for a process that may end without a word. Takes EXPORT_SECONDS at most."""
    if _sending.provider is not None:
        _sending.provider.force_flush(int(EXPORT_SECONDS * 1_000))


def trace(name: str, attributes: Attributes) -> AbstractContextManager[None]:
    """The block as the root of a trace of its own."""
    tracer = _sending.tracer
    return nullcontext() if tracer is None else _span(tracer, name, attributes, None)


def span(name: str, attributes: Attributes, parent: SpanId | None = None) -> AbstractContextManager[None]:
    """The block as a span, a child of `parent`, else of the span that is current where it begins.

    Nothing where there is neither: what belongs to nothing would be a trace of a single call.
    """
    tracer = _sending.tracer
    if tracer is None or (parent is None and not _is_within_a_span()):
        return nullcontext()
    return _span(tracer, name, attributes, parent)


def record(
    name: str,
    attributes: Attributes,
    own: SpanId,
    parent: SpanId | None,
    *,
    between: tuple[float, float],
    error: str | None,
) -> None:
    """A span that is over: `between` are its ends in POSIX seconds, `error` a class where it failed."""
    if _sending.tracer is None:
        return
    from opentelemetry.context import Context  # noqa: PLC0415
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415

    begin, end = (int(moment * 1e9) for moment in between)
    token = _chosen.set(own)
    try:
        recorded = _sending.tracer.start_span(
            name, _context_of(parent) if parent else Context(), attributes=attributes, start_time=begin
        )
    finally:
        _chosen.reset(token)
    if error is not None:
        recorded.set_attribute("error.type", error)
        recorded.set_status(Status(StatusCode.ERROR))
    recorded.end(max(begin, end))


@contextmanager
def _span(tracer: "Tracer", name: str, attributes: Attributes, parent: SpanId | None) -> Iterator[None]:
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415

    with tracer.start_as_current_span(
        name,
        _context_of(parent) if parent else None,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield
        except BaseException as error:
            current.set_attribute("error.type", type(error).__name__)
            current.set_status(Status(StatusCode.ERROR))
            raise


def _is_within_a_span() -> bool:
    from opentelemetry.trace import get_current_span  # noqa: PLC0415

    return get_current_span().get_span_context().is_valid


def _context_of(parent: SpanId) -> "Context":
    from opentelemetry.trace import (  # noqa: PLC0415
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        set_span_in_context,
    )

    known = SpanContext(parent.trace, parent.span, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return set_span_in_context(NonRecordingSpan(known))


def _provider(exporter: "SpanExporter") -> "TracerProvider":
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415

    class Ids(RandomIdGenerator):
        """Those that were chosen, where some were."""

        def generate_span_id(self) -> int:
            chosen = _chosen.get()
            return chosen.span if chosen else super().generate_span_id()

        def generate_trace_id(self) -> int:
            chosen = _chosen.get()
            return chosen.trace if chosen else super().generate_trace_id()

    provider = TracerProvider(resource=Resource.create({"service.name": SERVICE}), id_generator=Ids())
    # Bounded, and dropping rather than waiting: a collector that is away costs a fetch nothing.
    provider.add_span_processor(BatchSpanProcessor(exporter, export_timeout_millis=EXPORT_SECONDS * 1_000))
    return provider


def _exporter(endpoint: str, headers: Mapping[str, str]) -> "SpanExporter":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415

    # It speaks of every attempt; we do once.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    class Exporter(OTLPSpanExporter):
        """Says once that the collector does not take them."""

        said = False

        def export(self, spans: "Sequence[ReadableSpan]") -> "SpanExportResult":
            result = super().export(spans)
            if result is SpanExportResult.FAILURE and not self.said:
                self.said = True
                log.warning("Traces are lost: the collector at %s does not take them.", urlsplit(endpoint).netloc)
            return result

    return Exporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", headers=dict(headers), timeout=EXPORT_SECONDS)
