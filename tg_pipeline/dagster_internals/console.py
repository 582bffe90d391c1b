"""What Dagster prints of a run, beside the lines that we print ourselves.

Dagster repeats every line of ours, as its loggers pass on what it captures for the run's events, and shows the stack of
whatever a run was doing when it was asked to stop. Which logger prints is said by the run's configuration only, which
belongs to users (context_creation_job.py, 1.13.27: create_log_manager).
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution import context_creation_job
from dagster._core.log_manager import LOG_RECORD_METADATA_ATTR
from dagster._loggers import default_system_loggers
from dagster._utils.log import define_default_formatter

from tg_pipeline.observability.logs import IS_OURS


def print_each_line_once() -> None:
    """From now on, for the runs of this process that name no loggers of their own."""
    vars(context_creation_job)["default_system_loggers"] = _loggers


def _loggers(instance: dg.DagsterInstance | None) -> Sequence[tuple[dg.LoggerDefinition, Mapping[str, object]]]:
    return [(_with_filter(definition), config) for definition, config in default_system_loggers(instance)]


def _with_filter(definition: dg.LoggerDefinition) -> dg.LoggerDefinition:
    def make(context: dg.InitLoggerContext) -> logging.Logger:
        logger = definition.logger_fn(context)
        logger.addFilter(_is_news)
        for handler in logger.handlers:
            # Dagster's own makes the message red before ours writes escapes for what a terminal would obey.
            handler.setFormatter(define_default_formatter())
        return logger

    return dg.LoggerDefinition(make)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether Dagster is the only one to say it; of a run that was asked to stop, without the stack."""
    known: Mapping[str, Any] = getattr(record, LOG_RECORD_METADATA_ATTR, {})
    data = getattr(known.get("dagster_event"), "event_specific_data", None)
    error = getattr(data, "error", None)
    if error is not None and error.cls_name == DagsterExecutionInterruptedError.__name__:
        record.msg, record.args = record.getMessage().partition("\n")[0], ()
    return not hasattr(record, IS_OURS)
