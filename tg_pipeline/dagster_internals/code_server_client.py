"""A client that asks whether a code server answers. Waits for a public health check."""

from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.client import DagsterGrpcClient

__all__ = ["DagsterGrpcClient", "DagsterUserCodeUnreachableError"]
