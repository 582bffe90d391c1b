"""The contracts serve other programs too: they need pydantic and orjson, and nothing that runs the pipeline."""

import subprocess
import sys

IMPORT_ALL = """
import importlib, pkgutil, sys
import tg_pipeline.contracts as contracts
for module in pkgutil.walk_packages(contracts.__path__, "tg_pipeline.contracts."):
    importlib.import_module(module.name)
print(*{name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names))
"""


def test_they_are_imported_without_dagster_telethon_or_redis() -> None:
    done = subprocess.run([sys.executable, "-E", "-c", IMPORT_ALL], capture_output=True, text=True, check=True)
    imported = {name for name in done.stdout.split() if not name.startswith("_")}
    assert imported == {
        *("annotated_types", "orjson", "pydantic", "pydantic_core", "tg_pipeline"),
        *("typing_extensions", "typing_inspection"),
    }
