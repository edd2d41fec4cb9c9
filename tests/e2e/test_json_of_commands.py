"""Every command that shows data prints JSON alone with --json; the others say that they do not."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from transformers import BertConfig, BertForSequenceClassification

from app.cli import commands as service_commands
from app.settings import get_settings
from pricetag.cli.app import app
from pricetag.cli.app import run as pricetag
from pricetag.cli.service import ENTRIES
from tests.support.service import Service

DATA = Path(__file__).parents[1] / "data"

WITHOUT = {"serve", "worker", "demo", "run"}
"""Commands that run until they are stopped, show an example to people, or run a program."""

JOB = {
    "project": "p",
    "experiment": "e",
    "name": "n",
    "recipe": {"stages": [{"kind": "command", "argv": ["true"]}]},
}
STUDY = {
    "name": "a study",
    "base": {**JOB, "not_before": "2099-01-01T00:00:00Z"},
    "space": [{"kind": "choice", "field": "recipe.stages.0.env.LR", "values": ["1", "2"]}],
    "strategy": {"kind": "grid"},
    "metric": {"name": "accuracy"},
}
ESTIMATE = "--devices 1 --device-power-w 300 --hours 2 --pue 1.2 --grid-g-per-kwh 100"
FACTOR = "pue 1.2 --source x --basis y --year 2025"
PRICE = "card 2 --accelerator H100 --provider p --currency EUR --kind spot --source x"
IMPORTED = "carbon import hours.csv --zone DE --basis lifecycle --source s --license l"
FETCHED = "carbon fetch --zone DE --from 2026-03-01 --to 2026-03-02"
FORECAST = "carbon fetch-forecast --zone DE"

CHECKED, CLEANED = "artifacts check", "artifacts clean"
NO_SESSION = "session end 00000000-0000-4000-8000-000000000000"

CALLS = (
    *("whoami", "recipes", "recipes train", f"estimate {ESTIMATE}", "doctor"),
    *("quote job.json", "submit job.json --check", "submit job.json", "cancel last", "resume last"),
    *("inspect model", "push --all", "clean --older-than 90d"),
    *("runs", f"show {'{run}'}", f"logs {'{run}'}", f"reprice {'{run}'}", f"verify {'{run}'}"),
    *(f"report {'{run}'} --format json", f"compare {'{run}'} {'{other}'}", "energy", "audit"),
    *("budget create b --amount 10", "budget list", "budget show b", "budget set b --amount 20"),
    *("budget outlook", "budget what-if b --job job.json", "priority last 5", "queue", "sign-in"),
    *("budget burn-down b", "budget alerts", "budget close b", "session list", "health"),
    *("view save mine status=failed", "view list", "view show mine", "view delete mine"),
    *("site create berlin --zone DE", "site list", "site show berlin", "site set berlin --zone FR"),
    *(f"factor add {FACTOR}", "factor list", f"price add {PRICE} --from 2026-01-01", "price list"),
    *("price import prices.csv", IMPORTED, FETCHED, "carbon list"),
    *(FORECAST, "carbon forecast", "codecarbon --project p", "import emissions.csv"),
    *("user create ada", "user list", "user tokens ada", "user add-token ada --expires 90d"),
    *("user sign-in-link ada", NO_SESSION),
    *("user role ada viewer", "user disable ada", "user enable ada"),
    *("user revoke-token ada {token}",),
    *("insights frontier --project p", "insights curves --project p", "insights cost --project p"),
    *("study post study.json", "study show {study}", "study cancel {study}", "studies"),
    *("paper create d --project p --run {run}", "paper edit {draft} --title e"),
    *("paper remove {draft} {run}", "paper delete {draft}"),
    *("paper create t --project p --run {run}", "paper list", "paper show {paper}"),
    *("paper add {paper} {other} --purpose final", "paper freeze {paper}"),
    *("paper report {paper} --format json", "paper archive {paper} -o paper.zip"),
    *("paper verify paper.zip", "share paper {paper} --anonymous", "share run {run}"),
    *("share report {report}", "share list", "share withdraw {share}"),
    *("project list", "project show p", "project private p", "project add-member p ada"),
    *("project members p", "project remove-member p ada", "project open p"),
    *("token list", "token create --name direct", "token revoke {direct}"),
    *("migrate", "balances check", "balances rebuild", "rollups check", "rollups rebuild"),
    *("readings pack", "readings check", "headlines fill", CHECKED, CLEANED),
    *("backup of-the-lab", "restore of-the-lab --check"),
)
MODEL: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "vocab_size": 50,
}

MADE = {
    "user add-token": "token",
    "token create": "direct",
    "study post": "study",
    "paper create": "paper",
    "paper create d": "draft",
    "paper report": "report",
    "share paper": "share",
}
"""Calls that create what later ones name."""

REJECTED = {
    FETCHED: "is disabled",
    FORECAST: "is off",
    NO_SESSION: "not found",
    CHECKED: "PRICETAG_ARTIFACTS_URL",
    CLEANED: "PRICETAG_ARTIFACTS_URL",
}
"""Calls that this server cannot answer, with its reasons."""

PRICES = (
    "price_id,provider,region,accelerator,amount,currency,kind,source,licence,valid_from\n"
    "other,p,,A100,1.5,EUR,spot,list,own,2026-01-01T00:00:00Z\n"
)


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """The commands of a program, with the names of their groups."""
    if not hasattr(command, "commands"):
        yield " ".join(path)
        return
    for name, inner in command.commands.items():
        yield from leaves(inner, (*path, name))


def all_commands() -> set[str]:
    handed_over = {entry.command for entry in ENTRIES}
    library = set(leaves(typer.main.get_command(app))) - handed_over
    service = set(leaves(typer.main.get_command(service_commands)))
    return library | service | {"worker", "demo"}


def test_every_command_is_called_here() -> None:
    called = {
        name for name in all_commands() for call in CALLS if f"{call} ".startswith(f"{name} ")
    }
    assert all_commands() - called == WITHOUT


@pytest.mark.parametrize("command", sorted(WITHOUT))
def test_a_command_without_data_says_that_it_has_no_json(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pricetag(["--json", command]) == 2
    out, err = capsys.readouterr()
    assert (out, err.startswith(f"pricetag: {command} has no --json: ")) == ("", True)
    assert pricetag(["--json", command, "--help"]) == 0


@pytest.mark.parametrize("group", [entry.command for entry in ENTRIES if entry.is_group])
def test_a_group_alone_shows_its_help(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert pricetag(["--json", group]) == 2
    shown = capsys.readouterr()
    assert "Usage: pricetag" in shown.out + shown.err
    assert "No such option" not in shown.err


@pytest.fixture
def here(lab: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the files of the calls, connected to a server with a worker."""
    for name, value in lab.environment.items():
        if name.startswith("PRICETAG_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("PRICETAG_URL", str(lab.http.base_url))
    monkeypatch.setenv("PRICETAG_TOKEN", lab.http.headers["Authorization"].removeprefix("Bearer "))
    monkeypatch.chdir(tmp_path)
    Path("job.json").write_text(json.dumps({**JOB, "not_before": "2099-01-01T00:00:00Z"}))
    Path("study.json").write_text(json.dumps(STUDY))
    Path("prices.csv").write_text(PRICES)
    shutil.copy(DATA / "imports/emissions.csv", "emissions.csv")
    Path("hours.csv").write_text("hour,g_per_kwh\n2026-03-01T12:00Z,231.5\n")
    BertForSequenceClassification(BertConfig(**MODEL)).save_pretrained("model")
    lab.start_worker("--gpus", "none")
    get_settings.cache_clear()
    yield tmp_path
    get_settings.cache_clear()


def test_every_command_prints_json_alone(
    lab: Service, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [lab.submit(**JOB) for _ in range(2)]
    for run_id in runs:
        assert lab.wait_for_end(run_id)["status"] == "succeeded"
    names = {"run": str(runs[0]), "other": str(runs[1])}
    assert set(MADE.values()) <= {name for call in CALLS for name in re.findall(r"{(\w+)}", call)}
    printed: dict[str, Any] = {}
    for call in CALLS:
        code = pricetag(["--json", *call.format(**names).split()])
        out, err = capsys.readouterr()
        if call in REJECTED:
            assert (code != 0, out) == (True, ""), call
            assert REJECTED[call] in err, call
            continue
        assert code in (0, 5), (call, out, err)  # 5: not everything of a price tag was checked
        lines = out.splitlines() if call.startswith("logs") else [out]
        printed[call] = [json.loads(line) for line in lines]
        for begin, name in MADE.items():
            if call.startswith(begin):
                names[name] = printed[call][0]["id"]
    assert printed["balances check"][0]["wrong"]["reserves"] == 0
    assert set(printed["rollups check"][0]) == {"wrong"}
