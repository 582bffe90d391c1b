"""Day files under several writers, and under writers that are killed."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tg_pipeline.storage.file_archive import FileArchive
from tg_pipeline_tests.storage.samples import DAY, SLUG, commit, record

AMENDER = """
import sys
from pathlib import Path
from upath import UPath
from tg_pipeline.storage.file_archive import FileArchive
from tg_pipeline_tests.storage.samples import CHAT_ID, DAY, PEOPLE, SLUG, record
store = FileArchive(UPath(sys.argv[1]))
for number in range(int(sys.argv[2]), 60, 2):
    store.amend(SLUG, CHAT_ID, DAY, [record(number)], PEOPLE)
"""

COMMITTER = """
import itertools, sys
from pathlib import Path
from upath import UPath
from tg_pipeline.storage.file_archive import FileArchive
from tg_pipeline_tests.storage.samples import commit, record
store = FileArchive(UPath(sys.argv[1]))
print("ready", flush=True)
for turn in itertools.count():
    commit(store, Path(sys.argv[2]), [record(n, views=turn) for n in range(1, 500)])
"""


def test_writers_of_one_day_lose_nothing_of_each_other(store: FileArchive) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", AMENDER, str(store.root), start]) for start in ("1", "2")]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert [message.id for message in store.load(SLUG, DAY).messages] == list(range(1, 60))


@pytest.mark.parametrize("seed", range(3))
def test_a_writer_that_is_killed_leaves_one_version_or_the_other(store: FileArchive, scratch: Path, seed: int) -> None:
    command = [sys.executable, "-c", COMMITTER, str(store.root), str(scratch)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(random.Random(seed).uniform(0.02, 0.1))
        writer.kill()
    if store.header(SLUG, DAY) is not None:
        assert list(store.verify_day(SLUG, DAY)) == []
        assert len({message.views for message in store.load(SLUG, DAY).messages}) == 1
    done = commit(store, scratch / "next", [record(n) for n in range(1, 500)])
    assert (done.message_count, done.deleted, done.edited) == (499, 0, 0)
