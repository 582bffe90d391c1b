import shutil
from typing import Any

import pytest
from packaging.requirements import Requirement

from tg_pipeline_tests.deploy.places import DEPLOY, PROJECT, load, run

COMPOSE = load(DEPLOY / "compose.yaml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
IGNORED = (DEPLOY / "Dockerfile.dockerignore").read_text().split()


def test_everything_that_runs_is_there() -> None:
    of_dagster = {"code", "webserver", "daemon"}
    assert SERVICES.keys() >= of_dagster | {"serve", "postgres", "redis", "prometheus", "pushgateway"}
    assert SERVICES.keys() >= {"alertmanager", "grafana", "loki"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_watched_and_comes_back(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_only_this_machine_reaches_a_port(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_mounts_and_waits_for_exists(name: str) -> None:
    for mount in SERVICES[name].get("volumes", []):
        source = mount.partition(":")[0]
        assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
    assert set(SERVICES[name].get("depends_on", {})) <= SERVICES.keys()
    for file in SERVICES[name].get("env_file", []):
        assert (DEPLOY / f"{file}.example").is_file()


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_pinned_and_of_no_named_registry(name: str) -> None:
    repository, _, version = SERVICES[name]["image"].partition(":")
    assert "." not in repository.partition("/")[0]
    assert repository == "tg-pipeline" or version not in {"", "latest"}


def test_no_secret_is_written_down() -> None:
    for line in (DEPLOY / "settings.env.example").read_text().splitlines():
        key, _, value = line.partition("=")
        assert not value or not any(word in key for word in ("PASSWORD", "HASH", "SESSION", "TOKEN"))


def test_prometheus_finds_what_compose_starts() -> None:
    config = load(DEPLOY / "prometheus" / "prometheus.yml")
    asked = [*config["scrape_configs"], *config["alerting"]["alertmanagers"]]
    hosts = {
        target.partition(":")[0] for one in asked for group in one["static_configs"] for target in group["targets"]
    }
    assert hosts <= SERVICES.keys()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Prometheus) is not on PATH")
def test_prometheus_accepts_its_configuration() -> None:
    run("promtool", "check", "config", DEPLOY / "prometheus" / "prometheus.yml")


@pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool (Alertmanager) is not on PATH")
@pytest.mark.parametrize("path", sorted((DEPLOY / "alertmanager").glob("*.yml")), ids=lambda path: path.stem)
def test_alertmanager_accepts_its_configuration(path: object) -> None:
    run("amtool", "check-config", path)


def test_grafana_shows_the_dashboard_where_compose_mounts_it() -> None:
    (provider,) = load(DEPLOY / "grafana" / "provisioning" / "dashboards" / "dashboards.yml")["providers"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]


def test_the_image_is_made_of_files_that_are_there_and_not_ignored() -> None:
    copied = [
        source
        for line in DOCKERFILE.splitlines()
        if line.startswith("COPY") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    for source in copied:
        assert (PROJECT / source).exists()
        assert any(f"!{parent}" in IGNORED for parent in (source, *_parents(source))), source


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def test_the_image_runs_as_nobody_in_particular_and_is_watched() -> None:
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "\nUSER tg\n" in last_stage
    assert "\nHEALTHCHECK " in last_stage
    assert "/health'" in last_stage


def test_dagster_with_postgres_differs_from_dagster_alone_in_its_storage_only() -> None:
    own, plain = load(DEPLOY / "dagster" / "dagster.yaml"), load(PROJECT / "dagster.yaml")
    assert own.pop("storage") == {"postgres": {"postgres_url": {"env": "DAGSTER_POSTGRES_URL"}}}
    assert own == plain


def test_dagster_postgres_is_of_the_release_of_dagster_in_the_lock() -> None:
    pinned = [line for line in (PROJECT / "requirements.lock").read_text().splitlines() if line.startswith("dagster==")]
    (ours,) = [Requirement(line.rstrip(" \\")) for line in pinned]
    postgres = (DEPLOY / "requirements-postgres.lock").read_text()
    _, minor, patch = str(ours.specifier).removeprefix("==").split(".")
    assert f"dagster-postgres==0.{int(minor) + 16}.{patch} " in postgres
    assert "--hash=sha256:" in postgres


def test_the_url_of_postgres_names_the_driver_that_the_image_has() -> None:
    assert "DAGSTER_POSTGRES_URL=postgresql+psycopg2://" in (DEPLOY / "settings.env.example").read_text()
    assert "\npsycopg2-binary==" in (DEPLOY / "requirements-postgres.lock").read_text()
