"""`python -m tg_pipeline.dagster_client.run_module MODULE ARGUMENTS...`: as `python -m MODULE`, but it ends quickly."""

import runpy
import sys

from tg_pipeline.machine.garbage_collection import end_quickly

if __name__ == "__main__":
    end_quickly()
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
