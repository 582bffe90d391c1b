"""Every file of the demo against what the simulator holds: the proof that nothing is missing, doubled or changed."""

import json
from collections.abc import Iterator
from datetime import date, timedelta

from tg_pipeline.contracts.archive import Archive
from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.text import count
from tg_pipeline.machine.http import http_client

ANSWER_SECONDS = 120.0


def world_messages(control: str, username: str, days: DayRange | None = None) -> list[tuple[int, str, str]]:
    """What the simulator holds of a chat on these days: (id, date, text), ascending by id."""
    query = {"from": str(days.first), "to": str(days.last)} if days else {}
    with http_client(control, ANSWER_SECONDS) as client:
        answer = client.get(f"{control}/chats/{username}/messages", params=query).raise_for_status()
    lines = map(json.loads, answer.content.splitlines())
    return [(line["id"], line["date"], line["text"]) for line in lines]


def differences(store: Archive, control: str, username: str, slug: str, days: DayRange) -> Iterator[str]:
    """One sentence for each day file that is not what the simulator holds.

    A day that was still open when it was read is compared up to its last message: the world goes on.
    """
    by_day: dict[date, list[tuple[int, str, str]]] = {day: [] for day in days}
    for message in world_messages(control, username, days):
        by_day[date.fromisoformat(message[1][:10])].append(message)
    for day, expected in by_day.items():
        if store.header(slug, day) is None:
            yield f"{slug} {day}: there is no file"
            continue
        file = store.load(slug, day)
        found = [(message.id, message.date, message.text) for message in file.messages]
        if not file.sealed:
            expected = [message for message in expected if message[0] <= (file.last_message_id or 0)]  # noqa: PLW2901
        if found != expected:
            in_file = count(len(found), "message")
            yield f"{slug} {day}: {in_file} in the file, {len(expected)} in the world, or texts differ"


def last_days(today: date, count: int) -> DayRange:
    """The last `count` days, today included."""
    return DayRange(today - timedelta(days=count - 1), today)
