from datetime import date
from pathlib import Path

import pytest
from upath import UPath

from tg_pipeline.contracts.days import DayRange
from tg_pipeline.contracts.fetch import FetchReport
from tg_pipeline.contracts.history import Record
from tg_pipeline.defs.metadata import PREVIEW_CHARACTERS, PREVIEW_MESSAGES, fetch_metadata, preview
from tg_pipeline.storage.file_archive import FileArchive
from tg_pipeline_tests.storage.samples import SLUG, commit, record


def rows(tmp_path: Path, *records: Record) -> list[str]:
    """The rows of the preview of a day with these messages."""
    store = FileArchive(UPath(tmp_path / "data"))
    day = commit(store, tmp_path, records)
    return str(preview(store, SLUG, day)["preview"].value).splitlines()[2:]


def test_a_preview_shows_the_first_messages_only(tmp_path: Path) -> None:
    found = rows(tmp_path, *(record(number, f"text {number}") for number in range(1, 100)))
    assert len(found) == PREVIEW_MESSAGES
    assert found[0] == "| 1 | 00:00:01 | 77 | text 1 |"


def test_a_long_text_is_cut_short_and_a_table_row_stays_one_line(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, record(1, "word\n\n" * 1_000))
    text = row.split(" | ")[-1].removesuffix(" |")
    assert text.endswith("word…")
    assert len(text) <= PREVIEW_CHARACTERS


@pytest.mark.parametrize(
    "markup", ["a | b", "<script>x</script>", "![x](http://h/i.png)", "**b** _i_ `c`", "# h", "$x$"]
)
def test_a_text_cannot_turn_into_markup(tmp_path: Path, markup: str) -> None:
    (row,) = rows(tmp_path, record(1, markup))
    cell = row.removeprefix("| 1 | 00:00:01 | 77 | ").removesuffix(" |")
    assert cell.replace("\\", "") == markup
    assert all(cell[at - 1] == "\\" for at, character in enumerate(cell) if character in "|<>[]()!*_`#$")


def test_a_message_without_text_is_shown_by_its_kind(tmp_path: Path) -> None:
    found = rows(
        tmp_path,
        record(1, "", media={"type": "photo"}),
        record(2, "", type="service", action={"type": "pin_message"}, from_id=None),
        record(3, "", type="oddity"),
    )
    assert found[0].endswith("| (photo) |".replace("(", "\\(").replace(")", "\\)"))
    assert found[1] == "| 2 | 00:00:02 |  | \\(pin\\_message\\) |"
    assert "oddity" in found[2]


def test_the_rate_of_a_fetch_that_took_no_time_is_zero() -> None:
    day = date(2024, 1, 1)
    report = FetchReport("a", -1, DayRange(day, day), messages=5)
    assert fetch_metadata(report)["fetch/messages_per_second"].value == 0
    report.duration_seconds = 2
    assert fetch_metadata(report)["fetch/messages_per_second"].value == 2.5
