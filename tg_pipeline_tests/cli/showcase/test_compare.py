"""The proof of the demo must fail where a file is not what the simulator holds."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tg_pipeline.app.archive import open_archive
from tg_pipeline.cli.showcase.compare import differences, last_days, world_messages
from tg_pipeline.simulator.worlds.overlay import Overlay
from tg_pipeline_tests.telegram_account import FIRST_DAY, Account, account, first_days, plain_world

DAYS = first_days(3)


@pytest.fixture
def fetched(tmp_path: Path) -> Iterator[Account]:
    with account(plain_world(), tmp_path) as telegram:
        telegram.fetch("busy", DAYS)
        yield telegram


def found(telegram: Account) -> list[str]:
    control = f"http://127.0.0.1:{telegram.simulator.control}"
    return list(differences(open_archive(telegram.settings), control, "busy", "busy", DAYS))


def chat_of(telegram: Account) -> Overlay:
    (chat,) = telegram.simulator.world.chats.values()
    assert isinstance(chat, Overlay)
    return chat


def first_ids(telegram: Account) -> list[int]:
    """Ids of the first day, ascending."""
    control = f"http://127.0.0.1:{telegram.simulator.control}"
    return [message[0] for message in world_messages(control, "busy", first_days(1))]


def test_equal_files_differ_in_nothing(fetched: Account) -> None:
    assert found(fetched) == []


def test_a_day_without_a_file_differs(fetched: Account) -> None:
    Path(open_archive(fetched.settings).where("busy", FIRST_DAY)).unlink()
    assert found(fetched) == ["busy 2024-01-01: there is no file"]


def test_a_message_that_is_not_in_the_file_differs(fetched: Account) -> None:
    chat_of(fetched).delete(first_ids(fetched)[:1])
    assert found(fetched) == ["busy 2024-01-01: 30 messages in the file, 29 in the world, or texts differ"]


def test_another_text_differs(fetched: Account) -> None:
    chat_of(fetched).edit(first_ids(fetched)[0], "another")
    (difference,) = found(fetched)
    assert difference.startswith("busy 2024-01-01: 30 messages ")


def test_an_open_day_is_compared_up_to_where_it_was_read(fetched: Account) -> None:
    today = datetime.now(UTC).date()
    days = last_days(today, 1)
    chat_of(fetched).add("before")
    fetched.fetch("busy", days)
    chat_of(fetched).add("after")
    control = f"http://127.0.0.1:{fetched.simulator.control}"
    assert list(differences(open_archive(fetched.settings), control, "busy", "busy", days)) == []


def test_the_last_days_end_today() -> None:
    days = last_days(FIRST_DAY, 7)
    assert (days.first, days.last, len(days)) == (FIRST_DAY - timedelta(days=6), FIRST_DAY, 7)
