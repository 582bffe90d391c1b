"""Exports as they are read, before anything is made of them; tests of the served chats hold the rest of the reading."""

import json
from pathlib import Path

from tg_pipeline.exports.reading import read_export
from tg_pipeline.exports.text import text_and_parts
from tg_pipeline_tests.simulator.worlds.export.hand_made import chat, message


def test_records_keep_every_field_in_the_order_of_ids(tmp_path: Path) -> None:
    exported = chat(message(2, "b", unheard_of={"x": 1}), message(1, "a"))
    (tmp_path / "result.json").write_text(json.dumps(exported))
    (found,) = read_export(tmp_path, None).chats
    assert (found.kind, found.bare_id, found.name) == ("public_channel", 1_234_567_890, "My chat")
    assert [(r.message_id, r.timestamp) for r in found.records] == [(1, 1_714_557_601), (2, 1_714_557_602)]
    assert found.records[1].fields == exported["messages"][0]


def test_pieces_of_a_text_keep_what_is_said_of_them() -> None:
    bold = {"type": "bold", "text": "b"}
    assert text_and_parts({"text": ["a", bold]}) == ("ab", [("a", None), ("b", bold)])
    assert text_and_parts({"text": "ab", "text_entities": [{"type": "x", "text": "other"}]}) == ("ab", [])
