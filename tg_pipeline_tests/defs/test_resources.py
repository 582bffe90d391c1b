"""What Dagster shows of resources: every setting, and no secret."""

from pathlib import Path

import dagster as dg
import pytest
from pydantic import SecretStr

from tg_pipeline.contracts.errors import SettingsError
from tg_pipeline.defs.resources import TelegramResource
from tg_pipeline.settings import Settings
from tg_pipeline_tests.defs.pipeline import secrets_in_environment

HASH = "0123456789abcdef0123456789abcdef"
SECRET = "hunter2"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        _env_file=None,
        telegram_api_id=5,
        telegram_api_hash=SecretStr(HASH),
        redis_url=SecretStr(f"redis://:{SECRET}@127.0.0.1:1/0"),
        data_uri=f"ftp://me:{SECRET}@127.0.0.1/archive",
        dagster_home=tmp_path,
        backoff_base_seconds=0.001,
        umask="027",
    )


def loaded(settings: Settings) -> Settings:
    """What a run gets of them."""
    with dg.build_resources({"telegram": TelegramResource.of(settings)}) as resources:
        found: Settings = resources.telegram.settings
    return found


def test_a_run_has_the_settings_that_the_definitions_were_made_with(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_URI", settings.data_uri)
    with secrets_in_environment(settings):
        monkeypatch.setenv("START_DATE", "2023-01-01")  # they are the definitions', whatever the environment says now
        assert loaded(settings) == settings


def test_of_a_secret_the_name_is_kept_and_not_the_value(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_URI", settings.data_uri)
    with secrets_in_environment(settings):
        shown = str(TelegramResource.of(settings)._resolved_config_dict)
    assert not [secret for secret in (HASH, SECRET) if secret in shown]
    assert all(key in shown for key in ("TELEGRAM_API_HASH", "REDIS_URL", "DATA_URI"))


def test_a_secret_of_a_file_is_read_by_the_run(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REDIS_URL")
    (tmp_path / ".env").write_text(f"REDIS_URL={settings.redis}\n")
    assert TelegramResource.of(settings).secrets == {}
    assert loaded(settings).redis == settings.redis


def test_a_secret_that_was_changed_wrongly_is_not_shown(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with secrets_in_environment(settings), monkeypatch.context() as patch:
        resource = TelegramResource.of(settings)
        patch.setenv("REDIS_URL", SECRET)
        with dg.build_resources({"telegram": resource}) as resources, pytest.raises(SettingsError) as caught:
            _ = resources.telegram.settings
    assert caught.value.field == "REDIS_URL"
    assert SECRET not in str(caught.value)
