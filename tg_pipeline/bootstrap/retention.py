"""What processes leave in the instance home and nobody will ask for again."""

import time

from tg_pipeline.bootstrap.metrics import remove_metric_files
from tg_pipeline.bootstrap.settings import Settings
from tg_pipeline.storage.request import remove_expired


def remove_leftovers(settings: Settings) -> int:
    """Remove spools that cannot be resumed, and metric files of a version before; how many requests were removed."""
    remove_metric_files(settings)
    return remove_expired(settings.home / "spool", int(time.time()))
