"""`python -m tg_pipeline.dagster_client.run_module MODULE ...`: `python -m MODULE`, ending quickly and quietly."""

import runpy
import sys

import tg_pipeline.machine.quiet_interrupts  # noqa: F401 - first, for as long as the rest is being loaded
from tg_pipeline.machine.garbage_collection import end_quickly

if __name__ == "__main__":
    end_quickly()
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
