"""What can be wrong with an export."""

from tg_pipeline.contracts.errors import InputError


class ExportError(InputError):
    """A file or folder is not an export that can be served; one sentence names the file and the place."""
