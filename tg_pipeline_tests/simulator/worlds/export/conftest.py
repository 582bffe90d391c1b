from tg_pipeline_tests.exports.conftest import save

__all__ = ["save"]
