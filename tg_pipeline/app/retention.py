"""What processes leave in the instance home and nobody will ask for again."""

import logging
import shutil
import time

from tg_pipeline.settings import Settings
from tg_pipeline.storage.request import remove_expired

log = logging.getLogger(__name__)


def remove_leftovers(settings: Settings) -> int:
    """Remove spools that cannot be resumed, and metric files of a version before; how many requests were removed."""
    _remove_metric_files(settings)
    return remove_expired(settings.home / "spool", int(time.time()))


def _remove_metric_files(settings: Settings) -> None:
    """Those in which a version before kept what processes counted."""
    home = settings.home / "metrics"
    found = [path for name in ("live-*", "archive-*", "folding-*") for path in home.glob(name)]
    for path in found:
        shutil.rmtree(path, ignore_errors=True)
    if found:
        log.info("Removed %d directories of %s: counters are kept in the state store now.", len(found), home)
