"""The pages of the service: is it alive, could it work, how is it, what does it count."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from threading import Lock
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from tg_pipeline.contracts.health import Health
from tg_pipeline.dagster_client.heartbeats import DagsterHeartbeats
from tg_pipeline.monitoring.derived import reads
from tg_pipeline.monitoring.health import HealthCheck
from tg_pipeline.monitoring.metrics import exposition
from tg_pipeline.settings import Settings

FRESH_SECONDS: Final = 1.0
"""Answers within so long share one look, however many ask."""
READ: Final = ["GET", "HEAD"]

log = logging.getLogger(__name__)


def app(settings: Settings) -> FastAPI:
    """The service: `/health`, `/health/ready`, `/health/details`, and `/metrics`, which may be off."""
    heartbeats = DagsterHeartbeats(settings)
    check = HealthCheck(settings, heartbeats)
    look = _Look(check)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        check.close()
        heartbeats.close()

    service = FastAPI(title="tg-pipeline", lifespan=lifespan, openapi_url=None)

    @service.api_route("/health", methods=READ)
    async def alive() -> dict[str, str]:
        return {"status": "alive"}

    @service.api_route("/health/ready", methods=READ)
    def ready() -> JSONResponse:
        health = look()
        return JSONResponse({"ready": health.ready, "reasons": health.not_ready}, 200 if health.ready else 503)

    @service.api_route("/health/details", methods=READ)
    def details() -> Response:
        return Response(look().model_dump_json(), media_type="application/json")

    if settings.serves_metrics:

        @service.api_route("/metrics", methods=READ)
        def metrics() -> Response:
            body, content_type = exposition(settings, *reads(settings), heartbeats.samples)
            return Response(body, headers={"Content-Type": content_type})

    @service.exception_handler(Exception)
    def failed(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": f"{request.url.path} cannot be shown now ({type(error).__name__})."}, 500)

    return service


class _Look:
    """The health as it was at most FRESH_SECONDS ago; who asks meanwhile waits for the look that is under way."""

    def __init__(self, check: HealthCheck) -> None:
        self._check = check
        self._lock = Lock()
        self._last: tuple[float, Health | None] = (-inf, None)

    def __call__(self) -> Health:
        with self._lock:
            at, health = self._last
            if health is None or time.monotonic() - at > FRESH_SECONDS:
                health = self._check.look()
                self._last = (time.monotonic(), health)
            return health
