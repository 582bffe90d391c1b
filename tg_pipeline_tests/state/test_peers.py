"""What accounts have learned of chats: kept across processes, by account, and begun anew where it is damaged."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tg_pipeline.contracts.chat import Peer
from tg_pipeline.contracts.errors import StorageError
from tg_pipeline.contracts.history import Visible
from tg_pipeline.state.peers import PeerCache, Reading

NEWS = Peer("channel", 7, 111, "News", "The news")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "peers.sqlite"


def test_a_peer_is_found_by_id_and_by_username_of_any_case(path: Path) -> None:
    PeerCache(path).remember("me", [NEWS])
    cache = PeerCache(path)
    assert cache.by_id("me", NEWS.marked_id) == NEWS
    assert cache.by_username("me", "nEWS") == NEWS
    assert cache.by_username("you", "news") is None
    assert cache.by_id("you", NEWS.marked_id) is None


def test_a_peer_seen_again_replaces_what_was_known(path: Path) -> None:
    cache = PeerCache(path)
    cache.remember("me", [NEWS])
    renamed = Peer("channel", 7, 222, "Olds", "The olds")
    cache.remember("me", [renamed])
    assert cache.by_id("me", NEWS.marked_id) == renamed
    assert cache.by_username("me", "news") is None


def test_a_username_belongs_to_whoever_bears_it_now(path: Path) -> None:
    cache = PeerCache(path)
    other = Peer("channel", 8, 333, "news")
    cache.remember("me", [NEWS])
    cache.remember("me", [other])
    assert cache.by_username("me", "NEWS") == other
    known = cache.by_id("me", NEWS.marked_id)
    assert known is not None
    assert known.username is None


def test_ids_of_different_kinds_do_not_meet(path: Path) -> None:
    cache = PeerCache(path)
    peers = [Peer("channel", 5, 1), Peer("chat", 5, 0), Peer("user", 5, 2)]
    cache.remember("me", peers)
    assert [cache.by_id("me", peer.marked_id) for peer in peers] == peers
    assert [peer.marked_id for peer in peers] == [-1_000_000_000_005, -5, 5]


def test_an_access_hash_may_be_any_64_bit_number(path: Path) -> None:
    cache = PeerCache(path)
    peers = [Peer("channel", 1, -(2**63)), Peer("channel", 2, 2**63 - 1)]
    cache.remember("me", peers)
    assert [cache.by_id("me", peer.marked_id) for peer in peers] == peers


def test_a_forgotten_peer_is_gone(path: Path) -> None:
    cache = PeerCache(path)
    cache.remember("me", [NEWS])
    cache.forget("you", NEWS.marked_id)
    assert cache.by_id("me", NEWS.marked_id)
    cache.forget("me", NEWS.marked_id)
    assert cache.by_id("me", NEWS.marked_id) is None


def test_the_account_of_a_session_is_remembered(path: Path) -> None:
    PeerCache(path).remember_account("fingerprint", "500")
    assert PeerCache(path).account_of("fingerprint") == "500"
    assert PeerCache(path).account_of("other") is None


def test_who_can_read_a_chat_and_how_far_back_is_remembered(path: Path) -> None:
    cache = PeerCache(path)
    cache.remember_reading("500", NEWS.marked_id, can_read=True, now=100.0)
    cache.remember_reading("501", NEWS.marked_id, can_read=True, now=101.0)
    cache.remember_reading("500", 7, can_read=True, now=102.0)
    cache.remember_visible("500", NEWS.marked_id, Visible(51, None), now=103.0)
    cache.remember_visible("501", NEWS.marked_id, Visible(1, 0), now=104.0)
    assert PeerCache(path).readings(NEWS.marked_id) == {
        "500": Reading(can_read=True, noted_at=100.0, first_id=51),
        "501": Reading(can_read=True, noted_at=101.0, first_id=1),
    }
    cache.remember_reading("500", NEWS.marked_id, can_read=False, now=105.0)
    assert cache.readings(NEWS.marked_id)["500"] == Reading(can_read=False, noted_at=105.0, first_id=0)


@pytest.mark.parametrize("nonsense", ["readings SET can_read = 'x'", "visible SET first_id = 'x'"])
def test_what_an_account_could_read_counts_no_more_where_it_makes_no_sense(path: Path, nonsense: str) -> None:
    cache = PeerCache(path)
    cache.remember_reading("500", 7, can_read=True, now=100.0)
    cache.remember_visible("500", 7, Visible(51, None), now=103.0)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"UPDATE {nonsense}")
    db.close()
    assert not cache.readings(7)


@pytest.mark.parametrize(
    "damage", [b"not a database at all, but long enough to be one" * 40, b"SQLite format 3\x00" + b"\xff" * 200]
)
def test_a_damaged_file_is_set_aside_and_begun_anew(
    path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.write_bytes(damage)
    cache = PeerCache(path)
    cache.remember("me", [NEWS])
    assert cache.by_id("me", NEWS.marked_id) == NEWS
    assert [p.read_bytes() for p in path.parent.glob("*.corrupt-*")] == [damage]
    assert "was damaged" in caplog.text


def test_a_file_damaged_after_its_first_page_is_begun_anew_wherever_that_shows(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    PeerCache(path).remember("me", [NEWS])
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    cache = PeerCache(path)
    assert cache.by_id("me", NEWS.marked_id) is None
    cache.remember("me", [NEWS])
    assert PeerCache(path).by_id("me", NEWS.marked_id) == NEWS
    assert "was damaged" in caplog.text


@pytest.mark.parametrize(
    "schema",
    [
        "CREATE TABLE peers (a); CREATE TABLE accounts (b)",
        "CREATE TABLE peers (account, username); CREATE TABLE accounts (b)",
        "CREATE VIEW peers AS SELECT 1",
    ],
)
def test_a_foreign_database_is_set_aside(path: Path, schema: str) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(schema)
    db.close()
    cache = PeerCache(path)
    cache.remember("me", [NEWS])
    assert cache.by_id("me", NEWS.marked_id) == NEWS
    cache.remember_account("fingerprint", "500")
    assert cache.account_of("fingerprint") == "500"
    cache.forget("me", NEWS.marked_id)


@pytest.mark.parametrize(
    "nonsense",
    ["access_hash = 'abc'", "access_hash = NULL", "id = 'x'", "id = 7.5", "id = 8", "kind = 'foo'", "title = x'ff'"],
)
def test_a_row_that_makes_no_sense_is_none(path: Path, nonsense: str) -> None:
    cache = PeerCache(path)
    cache.remember("me", [NEWS])
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"UPDATE peers SET {nonsense}")  # noqa: S608 - ours
    db.close()
    assert cache.by_id("me", NEWS.marked_id) is None
    cache.remember("me", [NEWS])
    assert cache.by_id("me", NEWS.marked_id) == cache.by_username("me", "news") == NEWS


@pytest.mark.parametrize("nonsense", ["abc", "", None, b"\xff", -1])
def test_an_account_that_makes_no_sense_is_none(path: Path, nonsense: object) -> None:
    PeerCache(path).remember_account("fingerprint", "500")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE accounts SET account = ?", (nonsense,))
    db.close()
    assert PeerCache(path).account_of("fingerprint") is None


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "directory").mkdir()
    for place in (tmp_path / "file" / "peers.sqlite", tmp_path / "directory"):
        with pytest.raises(StorageError, match=f"{place} cannot be opened"):
            PeerCache(place)


WRITER = """
import sys
from pathlib import Path
from tg_pipeline.contracts.chat import Peer
from tg_pipeline.state.peers import PeerCache
for n in range(int(sys.argv[2]), 400, 4):
    PeerCache(Path(sys.argv[1])).remember("me", [Peer("channel", n + 1, n, f"name{n}")])
"""


def test_several_processes_write_at_once(path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(n)]) for n in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    with closing(sqlite3.connect(path)) as db, db:
        assert db.execute("SELECT count(*) FROM peers").fetchone() == (400,)
    db.close()
