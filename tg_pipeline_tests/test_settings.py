"""Settings: where they come from, what is refused with which sentence, and what they turn into."""

from datetime import date
from pathlib import Path

import pytest

from tg_pipeline.contracts.errors import SettingsError
from tg_pipeline.settings import PROJECT_DIRECTORY, Settings, load_settings

HASH = "0123456789abcdef0123456789ABCDEF"
SECRETS = {"TELEGRAM_API_HASH", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"}


def given(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for key, value in values.items():
        monkeypatch.setenv(key.upper(), value)
    return load_settings()


def refusal(monkeypatch: pytest.MonkeyPatch, key: str, value: str) -> SettingsError:
    """The error that names the key, and the value where that is no secret."""
    with pytest.raises(SettingsError) as refused:
        given(monkeypatch, **{key: value})
    error = refused.value
    assert error.field == key
    assert str(error).startswith(f"{key}: ")
    assert "hunter2" not in str(error)
    assert (f"Found {value!r}." in str(error)) == (key not in SECRETS)
    return error


def test_the_env_file_of_the_project_is_read() -> None:
    assert PROJECT_DIRECTORY / ".env" in Settings.model_config["env_file"]  # type: ignore[operator] # a tuple
    assert (PROJECT_DIRECTORY / "pyproject.toml").exists()


def test_an_env_file_gives_settings_and_the_environment_goes_before_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(
        f"TELEGRAM_API_ID=7\nTELEGRAM_API_HASH={HASH}\nPARALLELISM_MAX=3\nUNKNOWN=1\nLOG_LEVEL=\n"
    )
    for key in ("TELEGRAM_API_ID", "TELEGRAM_API_HASH", "LOG_LEVEL"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("PARALLELISM_MAX", "4")
    settings = Settings(_env_file=tmp_path / ".env")
    assert (settings.telegram_api_id, settings.parallelism_max, settings.log_level) == (7, 4, "INFO")
    assert settings.telegram_api_hash is not None
    assert settings.telegram_api_hash.get_secret_value() == HASH


@pytest.mark.parametrize("nothing", ["", "  "])
def test_empty_means_unset(monkeypatch: pytest.MonkeyPatch, nothing: str) -> None:
    settings = given(monkeypatch, **dict.fromkeys(Settings.model_fields, nothing))
    assert settings == Settings.model_construct()


@pytest.mark.parametrize(
    ("key", "values", "sentence"),
    [
        ("TELEGRAM_API_ID", ["12a", "0", "2147483648"], "must be a whole number from 1 to 2147483647."),
        ("TELEGRAM_API_HASH", ["hunter2"], "must be 32 hexadecimal digits, as shown at https://my.telegram.org."),
        ("LEASE_WAIT_SECONDS", ["-1"], "must be a number from 0 to 86400."),
        ("START_DATE", ["2025-02-30", "2012-12-31"], "must be a day from 2013-01-01 on, written as YYYY-MM-DD."),
        (
            "UMASK",
            ["rw", "088"],
            "must be three octal digits: 077 for you alone, 027 for your group too, 022 for everybody.",
        ),
        ("DATA_URI", ["~nosuchuser/x"], "begins with ~ and the name of a user whom this machine does not know."),
        ("DATA_URI", ["memory://archive"], "memory:// keeps no archive. Allowed: a directory, or a URL of abfs, "),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", ["collector:4318"], "must be http://host:port or https://..., of a collector"),
        ("OTEL_EXPORTER_OTLP_HEADERS", ["hunter2", "a=b,c"], "must be name=value, of several with commas between"),
        ("LOG_LEVEL", ["LOUD"], "must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL."),
    ],
)
def test_a_wrong_value_is_said_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, key: str, values: list[str], sentence: str
) -> None:
    for value in values:
        assert str(refusal(monkeypatch, key, value)).startswith(f"{key}: {sentence}")


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("PARALLELISM_MAX", "17", "from 1 to 16."),
        ("FETCH_PAGES_IN_FLIGHT", "0", "from 1 to 16."),
        ("FETCH_CONCURRENCY", "0", "from 1 to 64."),
        ("FLOOD_WAIT_MAX_SECONDS", "-1", "from 0 to 86400."),
        ("CALL_DEADLINE_SECONDS", "0", "above 0, at most 86400."),
        ("CALL_DEADLINE_SECONDS", "soon", "above 0, at most 86400."),
        ("REDIS_PORT", "70000", "from 1 to 65535."),
        ("RETENTION_DAYS", "7", "from 8 to 36500."),
        ("DAGSTER_HOME", "~nosuchuser/x", " ~ "),
        ("DATA_URI", "simplecache::memory://x", "simplecache::memory://"),
        ("DATA_URI", "zip://x", "zip://"),
        ("DATA_URI", "dir://x", "dir://"),
        ("DATA_URI", "nowhere://x", "nowhere://"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:hunter2@collector", "http://host:port"),
    ],
)
def test_every_setting_has_limits(monkeypatch: pytest.MonkeyPatch, key: str, value: str, allowed: str) -> None:
    assert allowed in str(refusal(monkeypatch, key, value))


def test_every_wrong_value_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as refused:
        given(monkeypatch, telegram_api_id="x", redis_port="y", log_level="z")
    assert [line.partition(":")[0] for line in str(refused.value).splitlines()] == [
        "TELEGRAM_API_ID",
        "REDIS_PORT",
        "LOG_LEVEL",
    ]


def test_bounds_must_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"BACKOFF_BASE_SECONDS \(20\) must not exceed BACKOFF_MAX_SECONDS \(10\)"):
        given(monkeypatch, backoff_base_seconds="20")


def test_secrets_are_in_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = dict.fromkeys(
        ("telegram_phone", "telegram_session", "telegram_sessions", "telegram_proxy", "redis_password"), "hunter2"
    )
    settings = given(monkeypatch, telegram_api_hash=HASH, redis_host="localhost", **secrets)
    assert "hunter2" not in repr(settings)
    assert HASH not in repr(settings)
    assert "hunter2" not in settings.model_dump_json()
    by_url = given(monkeypatch, redis_host="", redis_password="", redis_url="redis://:hunter2@localhost")
    assert "hunter2" not in repr(by_url) + by_url.model_dump_json()


def test_a_rate_must_lie_within_what_may_be_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"RATE_LIMIT_PER_SECOND \(40\) must lie between .*\(0\.05\) and .*\(30\)"):
        given(monkeypatch, rate_limit_per_second="40")
    assert given(monkeypatch, rate_limit_per_second="40", rate_limit_strategy="fixed").call_policy.rate.burst == 10


def test_a_redis_url_of_another_kind_is_refused_without_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"REDIS_URL: must be redis://") as caught:
        given(monkeypatch, redis_url="http://:hunter2@localhost")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("circuit_breaker_failure_threshold", ["0", "-1", "many", "1.5"]),
        ("circuit_breaker_window_seconds", ["0", "-1", "long", "nan"]),
        ("circuit_breaker_open_timeout_seconds", ["0", "-1", "inf"]),
        ("rate_limit_strategy", ["learned", "1"]),
        ("rate_limit_per_second", ["0", "-1", "fast", "nan"]),
        ("rate_limit_floor_per_second", ["0", "-1"]),
        ("rate_limit_ceiling_per_second", ["0", "-1"]),
        ("rate_limit_burst", ["0", "-1", "1.5"]),
        ("rate_limit_strict_per_second", ["0", "-1"]),
        ("rate_limit_strict_burst", ["0", "-1"]),
        ("backoff_strategy", ["none"]),
    ],
)
def test_nonsense_is_refused_with_key_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, key: str, values: list[str]
) -> None:
    for value in values:
        assert " must be " in str(refusal(monkeypatch, key.upper(), value))


def test_a_level_may_be_written_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    assert given(monkeypatch, log_level="debug").log_level == "DEBUG"


def test_relative_paths_are_relative_to_the_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = given(
        monkeypatch,
        dagster_home="home",
        data_uri="archive",
        chats_file="my.yaml",
        xdg_state_home="state",
        telegram_server_public_key="key.pem",
    )
    assert settings.home == PROJECT_DIRECTORY / "home"
    assert Path(settings.data_root.path) == PROJECT_DIRECTORY / "archive"
    assert settings.chats_path == PROJECT_DIRECTORY / "my.yaml"
    assert settings.session_leases == PROJECT_DIRECTORY / "state" / "tg-pipeline" / "leases"
    assert settings.server_key_path == PROJECT_DIRECTORY / "key.pem"


def test_absolute_paths_and_the_users_home_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = given(monkeypatch, dagster_home="~/home", data_uri=str(tmp_path / "data"), xdg_state_home="")
    assert settings.home == tmp_path / "home"
    assert Path(settings.data_root.path) == tmp_path / "data"
    assert settings.session_leases == tmp_path / ".local/state/tg-pipeline/leases"


def test_data_may_live_in_any_file_system_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert given(monkeypatch, data_uri="file:///archive").data_root.path == "/archive"
    with pytest.raises(SettingsError, match=r"DATA_URI: s3:// cannot be opened .*Allowed"):
        _ = given(monkeypatch, data_uri="s3://bucket/x").data_root


@pytest.mark.parametrize("content", ["LOG_LEVEL=Pünkt".encode("latin-1"), "LOG_LEVEL=INFO".encode("utf-16")])
def test_an_env_file_that_is_not_utf_8_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / ".env").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=rf"^{tmp_path}/\.env is not text in UTF-8 .* Save it as UTF-8\.$"):
        load_settings()


def test_an_env_file_that_cannot_be_read_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").symlink_to("/proc/self/mem")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"\.env cannot be read: Input/output error"):
        load_settings()


def test_a_byte_order_mark_and_a_nul_byte_in_an_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for key in ("PARALLELISM_MAX", "DAGSTER_HOME"):
        monkeypatch.delenv(key, raising=False)
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfPARALLELISM_MAX=3\n")
    assert load_settings().parallelism_max == 3
    (tmp_path / ".env").write_bytes(b"DAGSTER_HOME=a\0b\n")
    with pytest.raises(SettingsError, match=r"^DAGSTER_HOME: must not hold a NUL byte\. Found"):
        load_settings()


@pytest.mark.parametrize(
    ("one", "several", "expected"),
    [
        ("", "", []),
        ("a", "", ["a"]),
        ("", "a, b,,c ", ["a", "b", "c"]),
        ("z", "a,b", ["z", "a", "b"]),
    ],
)
def test_sessions_come_one_or_several(
    monkeypatch: pytest.MonkeyPatch, one: str, several: str, expected: list[str]
) -> None:
    assert given(monkeypatch, telegram_session=one, telegram_sessions=several).session_secrets == expected


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({}, None),
        ({"redis_host": "h"}, "redis://h:6379/0"),
        ({"redis_host": "h", "redis_port": "1", "redis_password": "p@ss/"}, "redis://:p%40ss%2F@h:1/0"),
        ({"redis_url": "rediss://x"}, "rediss://x"),
    ],
)
def test_redis_is_one_url(monkeypatch: pytest.MonkeyPatch, values: dict[str, str], url: str | None) -> None:
    assert given(monkeypatch, **values).redis == url


def test_policies_carry_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given(monkeypatch, call_deadline_seconds="9", retry_max_attempts="2", fetch_pages_in_flight="5")
    assert (settings.call_policy.deadline_seconds, settings.call_policy.max_attempts) == (9, 2)
    assert settings.fetch_policy.pages_in_flight == 5
    assert settings.start_date == date(2020, 1, 1)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"redis_url": "redis://x", "redis_host": "h"}, "REDIS_URL is set, and so is REDIS_HOST or REDIS_PASSWORD"),
        ({"redis_url": "redis://x", "redis_password": "hush"}, "REDIS_URL is set, .* REDIS_PASSWORD"),
        ({"redis_password": "hush"}, "REDIS_PASSWORD is set without REDIS_HOST"),
    ],
)
def test_what_would_be_ignored_of_redis_is_refused(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        given(monkeypatch, **values)
    assert "hush" not in str(caught.value)
