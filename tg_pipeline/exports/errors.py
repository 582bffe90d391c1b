"""What can be wrong with an export."""

from tg_pipeline.contracts.errors import InputError


class ExportError(InputError):
    """A file or folder is not an export that can be served; one sentence names the file and the place."""


class LocalDatesError(ExportError):
    """A message has a local date only, and no time zone was given to read it in."""
