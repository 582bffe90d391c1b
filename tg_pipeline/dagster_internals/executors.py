"""Types that an executor of one's own takes and gives. Waits for public ones: `dagster.Executor` itself is public."""

from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.execution.step_dependency_config import StepDependencyConfig

__all__ = ["ExecutionPlan", "PlanOrchestrationContext", "RetryMode", "StepDependencyConfig"]
