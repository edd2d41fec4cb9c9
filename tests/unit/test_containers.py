"""The image and the compose file agree with the code, since no engine runs in the tests."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from app import cli
from app.settings import Settings
from pricetag.metering.machine import GIT_COMMIT
from pricetag.metering.rapl_zones import ROOT_VARIABLE, scan
from workers.command import ALIVE_LIMIT_S, worker

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WORKERS = ("worker-cpu", "worker-gpu")
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def stages() -> dict[str, list[tuple[str, str]]]:
    """The Dockerfile's instructions by build stage, those of the stage it is built on first."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.M)
    copies: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for line in text.replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            copies[name] = [*copies.get(base, [])]
        elif word:
            copies[name].append((word, rest.strip()))
    return copies


STAGES = stages()


def last(stage: str, word: str) -> str:
    return [rest for instruction, rest in STAGES[stage] if instruction == word][-1]


def interpolated(text: str, values: Mapping[str, str]) -> str:
    """What compose makes of a text under some variables."""

    def value(match: re.Match[str]) -> str:
        name, operator, default = match.groups()
        if values.get(name):
            return values[name]
        if operator == "?":
            raise LookupError(f"{name}: {default}")
        return default or ""

    return VARIABLE.sub(value, text)


def environment(service: str, **values: str) -> dict[str, str]:
    variables = {"POSTGRES_PASSWORD": "secret", **values}
    return {k: interpolated(v, variables) for k, v in SERVICES[service]["environment"].items()}


def settings_under(monkeypatch: pytest.MonkeyPatch, folder: Path, **variables: str) -> Settings:
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith("PRICETAG_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Settings()


def accept(arguments: list[str]) -> None:
    """Parses a command line of the service without running it."""
    assert arguments[0] == "pricetag"
    app = typer.Typer()
    app.command("worker")(worker)
    app.add_typer(cli.commands)
    command = typer.main.get_command(app)
    context = command.make_context("pricetag", arguments[1:2])
    name, subcommand, _ = command.resolve_command(context, arguments[1:2])  # type: ignore[attr-defined]
    subcommand.make_context(name, arguments[2:])


def test_services_wait_for_their_dependencies() -> None:
    assert set(SERVICES) == {"postgres", "migrate", "api", *WORKERS}
    waits = {name: service.get("depends_on", {}) for name, service in SERVICES.items()}
    migrated = {"migrate": {"condition": "service_completed_successfully"}}
    assert waits["postgres"] == {}
    assert waits["migrate"] == {"postgres": {"condition": "service_healthy"}}
    assert waits["api"] == waits["worker-cpu"] == waits["worker-gpu"] == migrated
    assert SERVICES["migrate"]["restart"] == "no"


def test_only_the_gpu_worker_is_behind_a_profile() -> None:
    assert {name: s["profiles"] for name, s in SERVICES.items() if "profiles" in s} == {
        "worker-gpu": ["gpu"]
    }


def test_the_gpu_worker_reserves_every_nvidia_device() -> None:
    (device,) = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["count"]) == ("nvidia", "all")
    # `utility` brings NVML and nvidia-smi, without which there is no counter to read.
    assert {"gpu", "compute", "utility"} == set(device["capabilities"])


@pytest.mark.parametrize("name", WORKERS)
def test_powercap_is_mounted_read_only_where_the_worker_looks(name: str, tmp_path: Path) -> None:
    mounts = [interpolated(v, {}).split(":") for v in SERVICES[name]["volumes"]]
    powercap = {source: (target, mode) for source, target, *rest in mounts for mode in rest}
    places = {s: t for s, (t, mode) in powercap.items() if "powercap" in s and mode == "ro"}
    assert set(places) == {"/sys/class/powercap", "/sys/devices/virtual/powercap"}
    assert environment(name)[ROOT_VARIABLE] == places["/sys/class/powercap"]
    # The class folder holds relative links into the devices: they must meet in the container.
    classes, devices = (tmp_path / places[s].lstrip("/") for s in sorted(places))
    zone = devices / "intel-rapl" / "intel-rapl:0"
    zone.mkdir(parents=True)
    classes.mkdir(parents=True)
    for file, text in (("name", "package-0"), ("energy_uj", "1"), ("max_energy_range_uj", "9")):
        (zone / file).write_text(text)
    link = "../../devices/virtual/powercap/intel-rapl/intel-rapl:0"
    (classes / "intel-rapl:0").symlink_to(link)
    assert [package.id for package in scan(classes).packages] == ["package-0"]


@pytest.mark.parametrize("name", WORKERS)
def test_inputs_are_read_only_and_journals_outlive_the_container(name: str) -> None:
    volumes = SERVICES[name]["volumes"]
    roots = environment(name)["PRICETAG_DATA_ROOTS"]
    assert any(volume.endswith(f":{roots}:ro") for volume in volumes)
    assert {f"{name}:/data", "artifacts:/data/artifacts"} <= set(volumes)
    assert {volume.partition(":")[0] for volume in volumes} >= {name, "artifacts"}
    assert set(COMPOSE["volumes"]) == {"postgres", "artifacts", *WORKERS}
    assert environment("worker-cpu")["PRICETAG_NODE_NAME"] == "host-cpu"
    assert environment("worker-gpu", PRICETAG_NODE_NAME="a")["PRICETAG_NODE_NAME"] == "a-gpu"


def test_no_password_is_in_the_file() -> None:
    with pytest.raises(LookupError, match="set POSTGRES_PASSWORD"):
        interpolated(SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD"], {})
    with pytest.raises(LookupError, match="set POSTGRES_PASSWORD"):
        interpolated(SERVICES["api"]["environment"]["PRICETAG_DATABASE_URL"], {})


@pytest.mark.parametrize("name", ["migrate", "api", *WORKERS])
def test_unset_variables_break_no_setting(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    variables = environment(name)
    assert variables["PRICETAG_GRID_ZONE"] == variables["PRICETAG_PUE"] == ""
    settings = settings_under(monkeypatch, tmp_path, **variables)
    assert settings.database_url == "postgresql://pricetag:secret@postgres/pricetag"
    assert (settings.pue, settings.grid_zone, settings.currency) == (None, None, "USD")
    assert str(settings.artifacts_root) == "/data/artifacts"


def test_the_sites_factors_reach_server_and_workers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    passed_on = {
        "PRICETAG_PUE": "1.2",
        "PRICETAG_GRID_G_PER_KWH": "21",
        "PRICETAG_GRID_YEAR": "2025",
        "PRICETAG_GRID_SOURCE": "contract",
        "PRICETAG_ELECTRICITY_PER_KWH": "0.3",
        "PRICETAG_CURRENCY": "EUR",
    }
    for name in ("api", *WORKERS):
        settings = settings_under(monkeypatch, tmp_path, **environment(name, **passed_on))
        assert (settings.pue, settings.grid_g_per_kwh, settings.currency) == (1.2, 21.0, "EUR")


@pytest.mark.parametrize("name", ["migrate", *WORKERS])
def test_commands_of_the_services_are_commands_of_ours(name: str) -> None:
    accept(SERVICES[name]["command"])


@pytest.mark.parametrize("stage", ["api", "worker"])
def test_commands_of_the_image_are_commands_of_ours(stage: str) -> None:
    accept(json.loads(last(stage, "CMD")))


def test_a_missing_option_is_noticed() -> None:
    with pytest.raises(typer.exceptions.TyperException, match="no-such"):
        accept(["pricetag", "serve", "--no-such"])


@pytest.mark.parametrize("stage", ["api", "worker"])
def test_the_image_runs_as_a_user_who_owns_the_data(stage: str) -> None:
    user = last(stage, "USER")
    assert user not in ("root", "0")
    made = " ".join(rest for word, rest in STAGES[stage] if word == "RUN")
    assert re.search(rf"useradd --uid [1-9]\d* .*{user}", made)
    # A fresh named volume inherits the folder's owner.
    assert f"install -d -o {user} -g {user} /data /data/artifacts" in made
    assert STAGES[stage].index(("USER", user)) > max(
        index for index, (word, _) in enumerate(STAGES[stage]) if word == "RUN"
    )
    assert last(stage, "WORKDIR") == "/srv/pricetag"


@pytest.mark.parametrize("stage", ["api", "worker"])
def test_everything_that_is_copied_exists(stage: str) -> None:
    copied = [
        source for word, rest in STAGES[stage] if word == "COPY" for source in rest.split()[:-1]
    ]
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert set(copied).isdisjoint(ignored)
    needed = {"pricetag", "models", "app", "migrations", "alembic.ini", "pyproject.toml"}
    assert needed <= set(copied)
    assert ("workers" in copied) == (stage == "worker")


@pytest.mark.parametrize(("stage", "extras"), [("api", "[server]"), ("worker", "[server,worker]")])
def test_versions_are_pinned(stage: str, extras: str) -> None:
    assert last(stage, "RUN") == f"pip install -c constraints.txt -e '.{extras}'"
    pinned = (ROOT / "constraints.txt").read_text().split()
    # The registry's own build of torch has CUDA; a local version would be another one.
    assert [line for line in pinned if line.startswith("torch==")] == ["torch==2.13.0"]


def test_the_commit_is_passed_as_a_build_argument() -> None:
    for stage in ("api", "worker"):
        assert any(rest.startswith(GIT_COMMIT) for w, rest in STAGES[stage] if w == "ARG")
    for name in ("migrate", "api", *WORKERS):
        assert GIT_COMMIT in SERVICES[name]["build"]["args"]
        assert SERVICES[name]["build"]["target"] in STAGES


def test_every_service_that_stays_has_a_health_check() -> None:
    assert SERVICES["postgres"]["healthcheck"]["test"][0] == "CMD-SHELL"
    assert SERVICES["migrate"]["healthcheck"] == {"disable": True}
    assert "/readyz" in last("api", "HEALTHCHECK")
    assert "/data/workers" in last("worker", "HEALTHCHECK")


def test_the_workers_health_check_agrees_with_its_own(tmp_path: Path) -> None:
    _, _, text = last("worker", "HEALTHCHECK").partition("CMD ")
    command = [part.replace("/data", str(tmp_path)) for part in json.loads(text)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
    alive = tmp_path / "workers" / "host-cpu.alive"
    alive.parent.mkdir()
    alive.touch()
    now_s = alive.stat().st_mtime
    for age_s, code in ((0.0, 0), (ALIVE_LIMIT_S - 10, 0), (ALIVE_LIMIT_S + 10, 1)):
        os.utime(alive, (now_s - age_s, now_s - age_s))
        assert subprocess.run(command, check=False).returncode == code
