"""The one contract of state stores, held against every driver, with several processes where it matters."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tg_pipeline.contracts.errors import SettingsError, StateUnavailable
from tg_pipeline.contracts.state import WRITER_SECONDS, Batch, Change, StateStore
from tg_pipeline.state.redis_client import redis_client, where
from tg_pipeline.state.redis_server import local_redis
from tg_pipeline.state.redis_store import TYPES, RedisStore
from tg_pipeline.state.sqlite_store import SqliteStore
from tg_pipeline_tests.processes import wait_until
from tg_pipeline_tests.state import contending
from tg_pipeline_tests.state.contending import ALLOWANCE, PROCESSES, ROUNDS, Opener, in_processes
from tg_pipeline_tests.storage.full_disk import run_on_full_disk


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with local_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@dataclass(frozen=True)
class Driver:
    opener: Opener
    where: str


@pytest.fixture(params=["sqlite", "redis"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    if request.param == "sqlite":
        return Driver(contending.sqlite, str(tmp_path / "state.sqlite"))
    url: str = request.getfixturevalue("redis_url")
    RedisStore(url, time.time)._redis.flushall()
    return Driver(contending.redis, url)


@pytest.fixture
def store(driver: Driver) -> Iterator[StateStore]:
    opened = driver.opener(driver.where)
    yield opened
    opened.close()


def test_what_was_never_written_is_nothing(store: StateStore) -> None:
    assert store.read("a", "b") == {"a": None, "b": None}
    assert store.hash_get("h") == {}
    assert store.read() == {}


def test_keys_are_found_by_how_they_begin(store: StateStore) -> None:
    names = ["b:1", "b:2", "b*", "b[12]:x", "b\\:1", "B:1", "ab:1", "b:ü"]
    store.compare_and_set({name: Change(None, b"1") for name in names})
    store.add("b:counter")
    store.hash_set("b:hash", {"f": b"1"})
    store.acquire("b:lease", "me", ttl_seconds=30)
    assert store.keys("b:") == ["b:1", "b:2", "b:ü"]
    assert [store.keys(prefix) for prefix in ("b*", "b[", "b\\", "b?", "zzz")] == [
        ["b*"],
        ["b[12]:x"],
        ["b\\:1"],
        [],
        [],
    ]
    assert store.keys("") == sorted(names)
    store.compare_and_set({"b:1": Change(b"1", None), "b:2": Change(b"1", b"2", ttl_seconds=0.1)})
    time.sleep(0.15)
    assert store.keys("b:") == ["b:ü"]


def test_keys_are_found_among_many(store: StateStore) -> None:
    store.compare_and_set({f"n:{number:04}": Change(None, b"1") for number in range(3_000)} | {"m": Change(None, b"1")})
    assert store.keys("n:") == [f"n:{number:04}" for number in range(3_000)]


def test_changes_are_made_where_all_expectations_hold(store: StateStore) -> None:
    outcome = store.compare_and_set({"a": Change(None, b"1"), "b": Change(None, b"\x00\xff")})
    assert outcome.done
    assert outcome.values == store.read("a", "b") == {"a": b"1", "b": b"\x00\xff"}


def test_one_wrong_expectation_keeps_everything_as_it_was(store: StateStore) -> None:
    store.compare_and_set({"a": Change(None, b"1")})
    for wrong in (None, b"2", b""):
        outcome = store.compare_and_set({"b": Change(None, b"9"), "a": Change(wrong, b"3")})
        assert not outcome.done
        assert outcome.values == {"a": b"1", "b": None}
    assert store.read("a", "b") == {"a": b"1", "b": None}


def test_a_change_may_remove_a_key_or_only_demand_something(store: StateStore) -> None:
    store.compare_and_set({"a": Change(None, b"1"), "b": Change(None, b"")})
    assert store.compare_and_set({"a": Change(b"1", None), "b": Change(b"", b""), "c": Change(None, None)}).done
    assert store.read("a", "b", "c") == {"a": None, "b": b"", "c": None}


def test_a_value_expires_and_a_mere_demand_does_not_prolong_it(store: StateStore) -> None:
    store.compare_and_set({"a": Change(None, b"1", ttl_seconds=0.2), "b": Change(None, b"1")})
    assert store.compare_and_set({"a": Change(b"1", b"1", ttl_seconds=60)}).done
    time.sleep(0.25)
    assert store.read("a", "b") == {"a": None, "b": b"1"}
    assert store.compare_and_set({"a": Change(None, b"2")}).done
    time.sleep(0.05)
    assert store.read("a") == {"a": b"2"}


def test_a_counter_counts_and_expires_from_its_beginning(store: StateStore) -> None:
    assert [store.add("n", 2, ttl_seconds=0.2), store.add("n", ttl_seconds=60), store.add("n", -4)] == [2, 3, -1]
    assert store.add("other") == 1
    time.sleep(0.25)
    assert store.add("n") == 1


def test_a_hash_keeps_fields(store: StateStore) -> None:
    store.hash_set("h", {"a": b"1", "b": b"2"})
    store.hash_set("h", {"a": None, "c": b"\x00", "never": None})
    assert store.hash_get("h") == {"b": b"2", "c": b"\x00"}
    store.hash_set("h", {"b": None, "c": None})
    assert store.hash_get("h") == {}


def floats(store: StateStore, key: str) -> dict[str, float]:
    return {field: float(value) for field, value in store.hash_get(key).items()}


def test_a_batch_is_added_to_a_hash_once(store: StateStore) -> None:
    assert store.hash_add("h", Batch("me", 3, {"a": 2, "b": 0.5, "zero": 0}))
    assert not store.hash_add("h", Batch("me", 3, {"a": 2, "b": 0.5}))
    assert not store.hash_add("h", Batch("me", 2, {"a": 100}))
    assert store.hash_add("h", Batch("other", 3, {"a": 1e-7, "b": 2**53}))
    assert store.hash_add("h", Batch("me", 4, {"a": -1}))
    assert store.hash_add("h", Batch("me", 5, {}))
    assert floats(store, "h") == {"a": pytest.approx(1.0000001), "b": 2**53, "zero": 0}
    assert store.hash_get("other") == {}


def test_a_sum_in_a_hash_can_be_set_and_removed(store: StateStore) -> None:
    store.hash_set("h", {"a": b"1.5"})
    store.hash_add("h", Batch("me", 1, {"a": 1, "b": 1}))
    store.hash_set("h", {"b": None})
    assert floats(store, "h") == {"a": 2.5}


def test_a_value_a_counter_a_hash_and_a_lease_of_one_name_are_four_things(store: StateStore) -> None:
    assert store.compare_and_set({"x": Change(None, b"1")}).done
    assert store.add("x") == 1
    store.hash_set("x", {"a": b"2"})
    assert store.acquire("x", "me", ttl_seconds=30)
    assert (store.read("x"), store.hash_get("x"), store.add("x")) == ({"x": b"1"}, {"a": b"2"}, 2)
    assert store.read("lease:x", "hash:x", "counter:x") == {"lease:x": None, "hash:x": None, "counter:x": None}


def test_a_lease_has_one_holder_and_ever_larger_tokens(store: StateStore) -> None:
    first = store.acquire("l", "a", ttl_seconds=30)
    assert first is not None
    assert store.acquire("l", "b", ttl_seconds=30) is None
    assert store.acquire("l", "a", ttl_seconds=30) == first
    assert store.acquire("other", "b", ttl_seconds=30) is not None
    assert store.renew(first, ttl_seconds=30)
    assert store.release(first)
    assert not store.release(first)
    assert not store.renew(first, ttl_seconds=30)
    second = store.acquire("l", "a", ttl_seconds=30)
    assert second is not None
    assert second.token > first.token
    assert not store.renew(first, ttl_seconds=30)


def test_a_lease_of_the_dead_runs_out(store: StateStore) -> None:
    dead = store.acquire("l", "a", ttl_seconds=0.2)
    time.sleep(0.25)
    assert dead is not None
    assert not store.renew(dead, ttl_seconds=30)
    heir = store.acquire("l", "b", ttl_seconds=30)
    assert heir is not None
    assert heir.token > dead.token
    assert not store.release(dead)


def test_a_closed_store_opens_again(store: StateStore) -> None:
    store.compare_and_set({"a": Change(None, b"1")})
    store.close()
    store.close()
    assert store.read("a") == {"a": b"1"}


def test_processes_that_draw_on_one_allowance_are_granted_exactly_that(driver: Driver) -> None:
    granted = in_processes(contending.spend, driver.opener, driver.where)
    assert sum(granted) == ALLOWANCE
    assert sum(1 for share in granted if share) > 1, "they did not contend"


@pytest.mark.slow
def test_a_driver_that_loses_updates_is_caught(tmp_path: Path) -> None:
    assert sum(in_processes(contending.spend, contending.lossy, str(tmp_path / "lossy.sqlite"))) > ALLOWANCE


def test_changes_of_several_keys_are_seen_together(driver: Driver) -> None:
    in_processes(contending.move, driver.opener, driver.where)
    held = driver.opener(driver.where).read("a", "b")
    assert int(held["a"] or 0) + int(held["b"] or 0) == 100


def test_no_count_is_lost_and_no_sum_is_seen_twice(driver: Driver) -> None:
    sums = [total for seen in in_processes(contending.count, driver.opener, driver.where) for total in seen]
    assert sorted(sums) == list(range(1, PROCESSES * ROUNDS + 1))


def test_batches_of_several_processes_add_up_exactly(driver: Driver) -> None:
    in_processes(contending.add_up, driver.opener, driver.where)
    expected = {"all": PROCESSES * ROUNDS, "half": PROCESSES * ROUNDS / 2}
    expected |= {f"own {number}": 2 * ROUNDS for number in range(PROCESSES)}
    assert floats(driver.opener(driver.where), "sums") == expected


def test_a_lease_is_never_held_by_two_processes(driver: Driver) -> None:
    held = [turn for turns in in_processes(contending.hold, driver.opener, driver.where) for turn in turns]
    assert all(alone for _, alone in held)
    assert len({token for token, _ in held}) == PROCESSES * ROUNDS


def test_a_writer_that_is_killed_leaves_a_store_that_works(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from tg_pipeline_tests.state import contending\n"
        "store = contending.sqlite(sys.argv[1])\n"
        "while True: print(store.add('n'), flush=True)\n"
    )
    path = str(tmp_path / "state.sqlite")
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                if int(line) % 50 == 0:
                    os.kill(writer.pid, signal.SIGKILL)
                    break
            seen = int(line)
        with closing(contending.sqlite(path)) as reopened:
            assert reopened.add("n") >= seen


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b""])
def test_a_damaged_file_is_set_aside(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "state.sqlite"
    path.write_bytes(content)
    store = SqliteStore(path, time.time)
    assert store.compare_and_set({"a": Change(None, b"1")}).done
    assert store.read("a") == {"a": b"1"}
    store.close()
    assert len(list(tmp_path.glob("*.corrupt-*"))) == bool(content)
    assert ("set aside" in caplog.text) == bool(content)


def test_a_store_follows_the_file_that_is_at_its_path(tmp_path: Path) -> None:
    """One that went on with a file set aside by another process would agree with nobody."""
    path = tmp_path / "state.sqlite"
    with (
        closing(SqliteStore(path, time.time)) as stays,
        closing(SqliteStore(path, time.time)) as other,
        closing(SqliteStore(path, time.time)) as late,
    ):
        stays.add("n", 5)
        for file in list(tmp_path.iterdir()):
            file.rename(file.with_name(f"aside-{file.name}"))
        assert other.add("n") == 1
        assert stays.add("n") == 2
        other.close()
        assert late.add("n") == 3
        path.unlink()
        assert stays.add("n") == 1


def test_who_finds_a_file_damaged_late_leaves_the_new_one_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    path.write_bytes(b"not a database at all" * 100)
    with closing(SqliteStore(path, time.time)) as first, closing(SqliteStore(path, time.time)) as late:
        with pytest.raises(sqlite3.DatabaseError) as found:
            late._open()
        assert first.add("n") == 1
        late._set_aside(found.value)
        assert [late.add("n"), first.add("n")] == [2, 3]
    assert len(list(tmp_path.glob("*.corrupt-*"))) == 1


def test_a_forked_process_opens_the_store_anew(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from tg_pipeline_tests.state import contending\n"
        "store = contending.sqlite(sys.argv[1])\n"
        "store.add('n')\n"
        "child = os.fork()\n"
        "inherited = store._db is not None\n"
        "store.add('n')\n"
        "if child == 0: os._exit(inherited)\n"
        "sys.exit(os.waitpid(child, 0)[1] or store.add('n') > 4)\n"
    )
    path = str(tmp_path / "state.sqlite")
    subprocess.run([sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, path], check=True)
    with closing(contending.sqlite(path)) as reopened:
        assert reopened.add("n") == 5


def test_a_foreign_schema_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE entries (mine TEXT)")
    other.close()
    store = SqliteStore(path, time.time)
    assert store.compare_and_set({"a": Change(None, b"1")}).done
    store.close()


def test_a_home_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateUnavailable, match=r"The shared state .*state\.sqlite cannot be used"):
        SqliteStore(tmp_path / "file" / "state.sqlite", time.time).read("a")


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    out = run_on_full_disk(
        """
        import time
        from pathlib import Path
        from tg_pipeline.contracts.errors import StateUnavailable
        from tg_pipeline.contracts.state import Change
        from tg_pipeline.state.sqlite_store import SqliteStore
        store = SqliteStore(Path(sys.argv[1]), time.time)
        try:
            for number in range(1000):
                store.compare_and_set({str(number): Change(None, b"x" * 1000)})
        except StateUnavailable as error:
            print(error)
        store.close()
        """,
        tmp_path / "state.sqlite",
    )
    assert str(tmp_path / "state.sqlite") in out
    with closing(SqliteStore(tmp_path / "state.sqlite", time.time)) as store:
        assert store.add("n") == 1


def test_a_redis_that_is_not_there_is_a_sentence_without_its_password() -> None:
    store = RedisStore("redis://someone:hush@127.0.0.1:1/0", time.time)
    with pytest.raises(StateUnavailable, match=r"127\.0\.0\.1:1 cannot be used \(Connection refused\)") as caught:
        store.read("a")
    assert "hush" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_a_database_that_redis_has_not_is_told(redis_url: str) -> None:
    address = redis_url.rpartition("/")[0]
    with pytest.raises(StateUnavailable, match="database 99"):
        RedisStore(f"{address}/99", time.time).add("n")


def test_a_redis_that_wants_a_password_gets_it_and_refuses_a_wrong_one(redis_url: str) -> None:
    admin = RedisStore(redis_url, time.time)._redis
    admin.config_set("requirepass", "hush")
    try:
        right = RedisStore(redis_url.replace("redis://", "redis://:hush@"), time.time)
        assert right.add("n") >= 1
        wrong = RedisStore(redis_url.replace("redis://", "redis://:wrong@"), time.time)
        with pytest.raises(StateUnavailable, match="refuses the password"):
            wrong.add("n")
        with pytest.raises(StateUnavailable, match="wants a password"):
            RedisStore(redis_url, time.time).add("n")
        admin.execute_command("ACL", "SETUSER", "worker", "on", ">pass:word/@", "~mine:*", "+@all")
        as_worker = redis_url.replace("redis://", "redis://worker:pass%3Aword%2F%40@")
        assert RedisStore(as_worker, time.time, namespace="mine").add("n") >= 1
        with pytest.raises(StateUnavailable, match="permissions"):
            RedisStore(as_worker, time.time).add("n")
    finally:
        admin.config_set("requirepass", "")


@pytest.mark.parametrize(
    "url",
    [
        "http://:hush@somewhere",
        "redis://:hush@somewhere:99999",
        "redis://:hush@[localhost:7000]:6379/0",
        "redis://:hush@somewhere:port",
        "redis://:hush@somewhere/name",
        "redis://:hush@somewhere?db=x",
        "redis://:hush@somewhere?nonsense=1",
        "redis://:hush@somewhere?retry_on_timeout=true",
        "rediss://:hush@somewhere?ssl_cert_reqs=perhaps",
        "rediss://:hush@somewhere?ssl_nonsense=1",
        "redis://:hush@[::1",
    ],
)
def test_an_impossible_url_names_the_setting_and_not_the_secret(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^REDIS_URL: ") as caught:
        RedisStore(url, time.time)
    assert caught.value.field == "REDIS_URL"
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["redis://h:1/0", "redis://h:1", "rediss://h:1/2?ssl_ca_certs=ca.pem", "redis://h:1?db=3"]
)
def test_the_urls_of_the_manual_are_taken(url: str) -> None:
    assert where(redis_client(url)) == "h:1"


def test_what_a_url_leaves_out_is_named_all_the_same() -> None:
    assert where(redis_client("redis://h")) == "h:6379"
    assert where(redis_client("unix:///run/redis")) == "/run/redis"


@pytest.mark.parametrize("kind", TYPES)
def test_a_key_of_another_type_is_named(redis_url: str, kind: str) -> None:
    store = RedisStore(redis_url, time.time, namespace="str*nge")
    store._redis.flushall()
    store._redis.rpush(f"str*nge:{{state}}:{kind}:n", "x")
    calls: dict[str, Callable[[], object]] = {
        "value": lambda: store.compare_and_set({"n": Change(None, b"1")}),
        "counter": lambda: store.add("n"),
        "hash": lambda: store.hash_set("n", {"a": b"b"}),
        "lease": lambda: store.acquire("n", "x", ttl_seconds=60),
        "token": lambda: store.acquire("n", "x", ttl_seconds=60),
    }
    with pytest.raises(StateUnavailable) as refused:
        calls[kind]()
    assert f" str*nge:{{state}}:{kind}:n " in str(refused.value)


def test_an_answer_that_was_lost_is_not_asked_for_again(redis_url: str) -> None:
    """It may have been done: what a second attempt finds would be taken for somebody else's."""
    store = RedisStore(redis_url, time.time)
    store._redis.flushall()
    store.add("n")
    admin = RedisStore(redis_url, time.time)._redis
    admin.execute_command("CLIENT", "PAUSE", "1500", "WRITE")
    with pytest.raises(StateUnavailable, match="no answer within"):
        store.add("n")
    assert wait_until(lambda: store.add("n", 0) >= 1)
    assert store.add("n", 0) <= 2


def test_all_keys_carry_the_namespace_and_values_carry_a_ttl(redis_url: str) -> None:
    store = RedisStore(redis_url, time.time, namespace="mine")
    store._redis.flushall()
    store.compare_and_set({"a": Change(None, b"1", ttl_seconds=60)})
    store.acquire("l", "x", ttl_seconds=60)
    store.add("n", ttl_seconds=60)
    store.hash_add("h", Batch("me", 1, {}))
    keys = store._redis.keys("*")
    assert len(keys) == 5
    assert store._redis.pttl("mine:{state}:counter:writer:me") > (WRITER_SECONDS - 60) * 1_000
    assert all(key.startswith(b"mine:") and store._redis.pttl(key) > 0 for key in keys)
