import dagster as dg
import pytest

from tg_pipeline.dagster_client.names import job_name, messages_key, slug_of


def test_a_job_is_named_by_what_dagster_allows() -> None:
    assert job_name("my-chat_2") == "fetch_my_chat_2"


@pytest.mark.parametrize("path", [["one"], ["telegram", "busy"], ["telegram", "busy", "other"], ["a", "b", "c", "d"]])
def test_a_key_is_a_chats_only_if_it_is_of_its_day_files(path: list[str]) -> None:
    assert slug_of(dg.AssetKey(path)) is None
    assert slug_of(messages_key("busy")) == "busy"
