import pytest

from tg_pipeline.contracts.errors import SettingsError
from tg_pipeline.defs.names import job_name, refuse_ambiguous


def test_a_job_is_named_by_what_dagster_allows() -> None:
    assert job_name("my-chat_2") == "fetch_my_chat_2"


def test_slugs_that_dagster_cannot_tell_apart_are_refused_by_name() -> None:
    refuse_ambiguous(["a-b", "a-c", "ab"])
    with pytest.raises(SettingsError, match="The slugs a-b and a_b differ"):
        refuse_ambiguous(["a-b", "c", "a_b"])
