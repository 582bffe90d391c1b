"""What processes leave in the instance home and nobody will ask for again."""

import time

from tg_pipeline.bootstrap.metrics import fold_metrics
from tg_pipeline.bootstrap.settings import Settings
from tg_pipeline.storage.request import remove_expired


def remove_leftovers(settings: Settings) -> int:
    """Remove spools that cannot be resumed and fold the metrics of ended processes; how many requests were removed."""
    fold_metrics(settings)
    return remove_expired(settings.home / "spool", int(time.time()))
