"""The HTTP service: health and metrics."""
