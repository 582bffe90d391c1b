"""What a run publishes and counts: started, progress, failed where nothing can change that, and how it ended.

The sensors publish all other ends, once Dagster has recorded them: they are the authority (see `commands` and
`ended_runs`). Nothing is published twice.
"""

import logging
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import dagster as dg

from tg_pipeline.contracts.accepted import AcceptedCommand
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.errors import ChatError, InputError, OperatorError, TgPipelineError
from tg_pipeline.contracts.events import Event
from tg_pipeline.contracts.fetch import CommittedDay
from tg_pipeline.dagster_client.runs import command_of, slugs_of
from tg_pipeline.dagster_internals.tags import RETRY_NUMBER_TAG
from tg_pipeline.monitoring.metrics import pushed
from tg_pipeline.observability import counts, metrics
from tg_pipeline.observability.logs import about
from tg_pipeline.settings import Settings

if TYPE_CHECKING:
    from tg_pipeline.bus.reporter import Reporter

log = logging.getLogger(__name__)

PERMANENT = (ChatError, OperatorError, InputError)
"""Whatever else of the command would run, it would meet the same."""


def as_command(run_id: str, chat: RegisteredChat, days: DayRange) -> AcceptedCommand:
    """A run that no command caused, for events as if one had. It reads sealed days again."""
    one = len(days) == 1
    return AcceptedCommand(
        id=run_id,
        slug=chat.slug,
        chat=chat.chat,
        mode="date" if one else "range",
        params={"date": str(days.first)} if one else {"from": str(days.first), "to": str(days.last)},
        first=days.first,
        last=days.last,
        force=True,
    )


def event_id(run: dg.DagsterRun, slug: str) -> str:
    """The id in the events of a run that no command caused: its own, or that of the run it retries.

    Of a run that fetches several chats, one for each.
    """
    run_id = run.root_run_id if RETRY_NUMBER_TAG in run.tags and run.root_run_id else run.run_id
    return run_id if len(slugs_of(run)) <= 1 else f"{run_id}:{slug}"


class RunEvents:
    """The events of the run of this process, and its metrics. Without a Redis in the settings, nothing is published."""

    def __init__(self) -> None:
        self._settings: Settings | None = None
        self._reporter: Reporter | None = None
        self._command: AcceptedCommand | None = None
        self._counts: dict[str, int] = {}
        self._error: TgPipelineError | None = None
        self._started: Event | None = None
        self._run_id = ""
        self._whole = True

    @property
    def force(self) -> bool:
        """Whether sealed days are to be read again: always, unless a command did not ask for it."""
        return self._command is None or self._command.force

    def begin(
        self, context: dg.AssetExecutionContext, chat: RegisteredChat, days: DayRange, settings: Settings
    ) -> None:
        """A step begins to fetch the run's days."""
        self._settings = settings
        command = command_of(context.run.tags)
        self._whole = command is None or days == command.days
        self._command = command or as_command(event_id(context.run, chat.slug), chat, days)
        self._counts, self._error, self._run_id = {}, None, context.run.run_id
        self._started = self._command.event("started", "running", run_id=self._run_id)
        if settings.redis is None:
            return
        from tg_pipeline.app.commands import reporter  # noqa: PLC0415 - brings Redis, which not everybody has

        self._reporter = self._reporter or reporter(settings)
        self._reporter.started(self._started)

    def committed(self, day: CommittedDay) -> None:
        """A day's file is in place."""
        self._counts[str(day.day)] = day.message_count
        if self._reporter is not None and self._command is not None:
            event = self._command.event("progress", "running", run_id=self._run_id, day=str(day.day))
            self._reporter.progress(event, str(day.day), day.message_count)

    def failing(self, error: TgPipelineError) -> None:
        """The step is about to fail, or to be tried again, because of this."""
        self._error = error

    def succeeded(self) -> None:
        """The step succeeded. The sensors publish `completed`: the run may still fail, on its checks or a full disk."""
        self._count("success")
        self.close()

    def close(self) -> None:
        """Wait for events that are still to be published. The next step begins again."""
        reporter, self._reporter = self._reporter, None
        if reporter is not None:
            with self._context():
                reporter.close()

    def failed(self, context: dg.HookContext) -> None:
        """The step failed for good. What other runs of a command may still do is left to the sensors."""
        error = self._error or context.op_exception
        permanent = isinstance(error, PERMANENT)
        if permanent:
            with self._context():
                log.critical(
                    "Nobody can fetch this until a person acts: %s", error, extra={"error_type": type(error).__name__}
                )
        is_retried = context.instance.run_retries_enabled and context.instance.run_retries_retry_on_asset_or_op_failure
        final = permanent or (self._whole and not is_retried)
        if final and self._reporter is not None and self._command is not None and self._started is not None:
            ended = self._command.event(
                "failed",
                "failed",
                run_id=self._run_id,
                processed=sum(self._counts.values()),
                errors=1,
                days_done=len(self._counts),
                error_type=type(error).__name__,
                message=str(error)[:500],
            )
            self._reporter.ended(ended, self._started)
        self._count("failed")
        self.close()

    def _count(self, status: str) -> None:
        """Add the run to its chat's metrics, and have them where Prometheus gets them before the process ends."""
        if self._command is not None and self._settings is not None:
            with self._context(), pushed(self._settings):
                metrics.FETCH_RUNS.labels(self._command.slug, status).inc()
                counts.flush()

    def _context(self) -> AbstractContextManager[None]:
        """What log lines say of the run where Dagster calls a hook, outside the step."""
        command = self._command
        known = {"chat": command.slug, "command_id": command.id, "mode": command.mode} if command else {}
        return about(**known, run_id=self._run_id)


@dg.success_hook(required_resource_keys={"events"})
def record_success(context: dg.HookContext) -> None:
    """Count the run, and publish the rest of its events."""
    context.resources.events.succeeded()


@dg.failure_hook(required_resource_keys={"events"})
def record_failure(context: dg.HookContext) -> None:
    """Publish `failed` as soon as the step has failed for good, and count the run."""
    context.resources.events.failed(context)
