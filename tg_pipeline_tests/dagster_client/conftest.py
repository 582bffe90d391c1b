from tg_pipeline_tests.defs.conftest import busy

__all__ = ["busy"]
