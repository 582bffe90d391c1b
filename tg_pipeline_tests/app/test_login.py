"""From settings to what logs in."""

import pytest

from tg_pipeline.app.login import telegram_api
from tg_pipeline.contracts.errors import SettingsError
from tg_pipeline.settings import Settings


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        (Settings.model_construct(), "TELEGRAM_API_ID"),
        (Settings.model_construct(telegram_api_id=7), "TELEGRAM_API_HASH"),
    ],
    ids=["both", "hash"],
)
def test_what_is_not_set_is_named_with_where_to_get_it(settings: Settings, missing: str) -> None:
    with pytest.raises(SettingsError) as refused:
        telegram_api(settings)
    assert refused.value.field == missing
    where = "Get both at https://my.telegram.org and write them into .env."
    assert str(refused.value) == f"{missing} is not set. {where}"
