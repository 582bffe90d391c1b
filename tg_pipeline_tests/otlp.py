"""A collector of OpenTelemetry's protocol over HTTP, within the test's process."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tg_pipeline_tests.http_sink import http_sink


@dataclass(frozen=True)
class Span:
    """Ids are in hexadecimal digits, `parent` is empty for a root, ends are POSIX seconds."""

    name: str
    trace: str
    id: str
    parent: str
    begin: float
    end: float
    failed: bool
    about: dict[str, str]


@dataclass
class Collector:
    """`status` is what it answers; `raw` all that it was sent."""

    url: str = ""
    status: int = 200
    spans: list[Span] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def parent_of(self, span: Span) -> Span:
        (parent,) = [other for other in self.spans if (other.trace, other.id) == (span.trace, span.parent)]
        return parent

    def above(self, span: Span) -> list[str]:
        """The kinds of span from this one up to its root."""
        kinds = []
        while True:
            kinds.append(span.name.split()[0])
            if not span.parent:
                return kinds
            span = self.parent_of(span)

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        self.raw.append(body)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans += [_span(found) for found in scope.spans]


def _span(found: Any) -> Span:
    about = {}
    for pair in found.attributes:
        kind = pair.value.WhichOneof("value")
        about[pair.key] = str(getattr(pair.value, kind))
    return Span(
        name=found.name,
        trace=found.trace_id.hex(),
        id=found.span_id.hex(),
        parent=found.parent_span_id.hex(),
        begin=found.start_time_unix_nano / 1e9,
        end=found.end_time_unix_nano / 1e9,
        failed=found.status.code == 2,
        about=about,
    )


@contextmanager
def collector() -> Iterator[Collector]:
    """It listens while the block runs."""
    found = Collector()

    def answer(path: str, headers: Mapping[str, str], body: bytes) -> int:
        found.headers.append(dict(headers))
        if found.status == 200 and path == "/v1/traces":
            found.take(body)
        return found.status

    with http_sink(answer) as found.url:
        yield found
