"""Errors of the server name the command's own options and arguments, never fields of the API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import typer

from pricetag.cli.app import app
from pricetag.cli.app import run as pricetag
from tests.support.commands import Captured
from tests.support.fake_api import RUN_ID, Answer, Asked, FakeApi, problem

PRICED = "--accelerator H100 --provider lab --currency EUR --source invoice --from 2026-01-01"
OWNED = "--kind internal --capex 1 --lifetime-h 1 --utilization 0.5"
CITED = "--basis mean --source meter --source-url https://example.org --license x --std 0.1"
SPAN = "--from 2026-01-01 --to 2026-02-01"

# One use of every command that sends something, with every option that becomes a field.
USES = (
    f"price add x 1 {PRICED} --kind spot --region r --replaces {RUN_ID} --source-url https://e.org "
    "--license x --to 2027-01-01",
    f"price add x {PRICED} {OWNED}",
    "price import prices.csv",
    "price list --accelerator H100",
    f"carbon import hours.csv --zone DE {CITED}",
    f"carbon fetch --zone DE --provider p --provider-zone q {SPAN}",
    "carbon list --zone DE",
    "carbon fetch-forecast --zone DE --provider p --provider-zone q",
    "carbon forecast --site s --within 24 --duration 6",
    f"factor add pue 1.2 --site s --subject x --year 2025 --evidence counter {CITED} {SPAN}",
    "factor add embodied 100 --basis b --source s --lifetime-h 1 --utilization 0.5 --per-server 8",
    "factor add tariff --basis b --source s --site s --periods tariff.yaml",
    "factor list --kind pue",
    "site create s --zone DE --time-zone UTC --currency EUR --description d",
    "site set s --zone DE --time-zone UTC --currency EUR --description d",
    "site show s --as-of 2026-01-01",
    "budget create b --amount 1 --metric cost --currency EUR --period week --time-zone UTC "
    "--project p --experiment e --warn-at 0.5 --no-refuse --no-stop",
    "budget create b --amount 1 --user ada",
    f"budget set {RUN_ID} --amount 1 --name c --warn-at 0.5 --no-refuse --no-stop",
    f"audit --kind budget --id {RUN_ID} --actor ada --access token --since x --until y",
    "energy --from 2026-01-01 --to 2026-01-02 --by node --node n",
    "runs --project p --experiment e --user u --tag t --status queued --kind train --search w "
    "--sort name",
    "submit job.yaml --key k",
    "study post job.yaml --key k",
    "studies --project p --status running",
    f"reprice {RUN_ID} --as-of 2026-01-01",
    f"compare {RUN_ID} {RUN_ID} --metric cost",
    f"report {RUN_ID} --title t --profile site",
    "report --project p --experiment e --tag t",
    "user create ada --role member --email a@b.example",
    f"user role {RUN_ID} member",
    f"user add-token {RUN_ID} --name t --role member --project p --expires 90d",
    "project add-member p ada --role owner",
    f"priority {RUN_ID} 5",
    "view save v status=failed --project p --default",
    f"user sign-in-link {RUN_ID} --lifetime-h 2",
    "insights frontier --metric cost --project p --experiment e --tag t --quality q --split s",
    "insights curves --metric cost --method a --with-replacement --project p",
    "insights cost --equivalents --project p",
    f"paper create t --project p --run {RUN_ID} --experiment e --tag t --authors a --key k",
    "paper list --project p",
    f"paper edit {RUN_ID} --title t --authors a --experiment e --tag t",
    f"paper add {RUN_ID} {RUN_ID} --purpose final",
    f"paper report {RUN_ID} --profile site --equivalents",
    f"share paper {RUN_ID} --anonymous --days 9",
    f"share report {RUN_ID}",
    f"share run {RUN_ID}",
    "share list --all",
)
FIXED = {"limit", "cursor", "scope", "visibility", "disabled", "unit"}
"""Fields that a command decides by itself."""


def sent(request: Asked) -> Iterator[str]:
    """Paths of the fields of a request."""
    yield from parse_qs(request.query)
    yield from (name.lower() for name in request.headers if name.lower() == "idempotency-key")
    if request.body.startswith("{"):
        for name, value in json.loads(request.body).items():
            yield name
            if isinstance(value, dict):
                yield from (f"{name}.{inner}" for inner in value)
            if isinstance(value, list):
                yield f"{name}.0"


def command_of(words: list[str]) -> Any:
    command: Any = typer.main.get_command(app)
    for word in words:
        inner = getattr(command, "commands", {}).get(word)
        if inner is None:
            return command
        command = inner
    return command


def names_of(command: Any) -> set[str]:
    """Options and arguments, as the help shows them."""
    options = {name for param in command.params for name in param.opts if name.startswith("--")}
    return options | {param.metavar for param in command.params if param.metavar}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("prices.csv", "hours.csv"):
        Path(name).write_text("a\n")
    Path("tariff.yaml").write_text("periods: []\n")
    Path("job.yaml").write_text("name: x\n")


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("use", USES)
def test_every_field_that_a_command_sends_is_named_by_its_option(
    use: str, api: FakeApi, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = use.split()
    requests: list[Asked] = []

    def reject(request: Asked) -> Answer:
        requests.append(request)
        return problem(422, "invalid-request", "The request is invalid.")

    monkeypatch.setattr(api, "answer", reject)
    assert pricetag(words) == 2
    capsys.readouterr()
    command, fields = command_of(words), [*sent(requests[-1])]
    assert set(fields) - FIXED
    for field in fields:
        if field in FIXED or field in ("details", "ownership", "filter", "rule", "versions"):
            continue
        message = f"{field}: is wrong (and 1 more)"
        fault = {"field": field, "message": "is wrong", "hint": None}
        wrong = problem(422, "invalid-request", message, fault)
        monkeypatch.setattr(api, "answer", lambda _, sent_back=wrong: sent_back)
        assert pricetag(words) == 2
        name = capsys.readouterr().err.removeprefix("pricetag: ").partition(": is wrong")[0]
        assert name in names_of(command), (field, name)


def test_every_command_that_sends_fields_is_tried() -> None:
    """A command with its own options is in ``USES``, or needs no server or no field."""
    without_fields = {
        *(
            "quote",
            "show",
            "logs",
            "cancel",
            "resume",
            "verify",
            "estimate",
            "doctor",
            "inspect",
            "recipes",
            "run",
            "push",
            "clean",
            "import",
            "codecarbon",
            "whoami",
        ),
        *("demo", "serve", "worker", "migrate", "token", "sign-in", "balances", "rollups"),
        *("readings", "headlines", "artifacts", "backup", "restore"),
        *("health", "queue", "session list", "session end"),
        *("view list", "view show", "view delete", "study show", "study cancel"),
        *(
            "paper show",
            "paper remove",
            "paper delete",
            "paper freeze",
            "paper archive",
            "paper verify",
            "share withdraw",
        ),
        *("budget burn-down", "budget outlook", "budget what-if"),
        *("budget list", "budget show", "budget close", "budget alerts"),
        *("site list", "user list", "user enable", "user disable", "user tokens"),
        *("user revoke-token", "project list", "project show", "project private", "project open"),
        *("project members", "project remove-member"),
    }
    top: Any = typer.main.get_command(app)
    paths = {
        f"{name} {inner}" if inner else name
        for name, command in top.commands.items()
        for inner in getattr(command, "commands", None) or [""]
    }
    tried = {path for path in paths for use in USES if f"{use} ".startswith(f"{path} ")}
    assert paths - tried == without_fields


@pytest.mark.parametrize(
    ("words", "field", "message", "shown"),
    [
        (["budget", "create", "b", "--amount", "-1"], "amount", "must be at least 0", "--amount: "),
        (
            ["budget", "create", "b", "--amount", "1", "--warn-at", "0.5", "--warn-at", "2"],
            "thresholds.1",
            "must be at most 1 (got 2.0)",
            "--warn-at: must be at most 1 (got 2.0)",
        ),
        (
            ["carbon", "fetch", "--zone", "DE", *SPAN.split()],
            "end",
            "must be after start",
            "--to: must be after start",
        ),
        (
            ["factor", "add", "pue", "1", "--basis", "b", "--source", "s", *SPAN.split()],
            "valid_to",
            "is not after valid_from",
            "--to: is not after --from",
        ),
        (
            ["factor", "add", "tariff", "--basis", "b", "--source", "s"],
            "details.periods.0.price",
            "must be a number",
            "--periods, 0.price: must be a number",
        ),
        (["submit", "job.yaml"], "resources.pool", "is wrong", "resources.pool: is wrong"),
        (["submit", "job.yaml"], "name", "is wrong", "name: is wrong"),
        (["site", "create", "a b"], "name", "is wrong", "SITE: is wrong"),
        (["budget", "create", ""], "name", "must not be empty", "NAME: must not be empty"),
    ],
)
@pytest.mark.usefixtures("files")
def test_messages_name_options(
    words: list[str],
    field: str,
    message: str,
    shown: str,
    api: FakeApi,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault = {"field": field, "message": message, "hint": None}
    words = [*words, "--amount", "1"] if words[:2] == ["budget", "create"] else words
    wrong = problem(422, "invalid-request", f"{field}: {message}", fault)
    monkeypatch.setattr(api, "answer", lambda _: wrong)
    assert pricetag(words) == 2
    assert capsys.readouterr().err.startswith(f"pricetag: {shown}")


def test_a_phrase_without_a_subject_gets_its_option_and_a_sentence_does_not(
    api: FakeApi, capsys: Captured
) -> None:
    words = ["budget", "create", "b", "--amount", "1", "--project", "p"]
    for message, shown in (
        ("is not allowed here", "--project: is not allowed here"),
        ("Project 'p' not found.", "Project 'p' not found."),
    ):
        fault = {"field": "project", "message": message, "hint": None}
        api.answers["POST /v1/budgets"] = problem(422, "invalid-request", message, fault)
        assert pricetag(words) == 2
        assert capsys.readouterr().err == f"pricetag: {shown}\n"


def test_several_invalid_fields_have_a_line_each(api: FakeApi, capsys: Captured) -> None:
    faults = [{"field": name, "message": f"is wrong {name}"} for name in ("amount", "time_zone")]
    message = "amount: is wrong amount (and 1 more)"
    api.answers["POST /v1/budgets"] = problem(422, "invalid-request", message, *faults)
    assert pricetag(["budget", "create", "b", "--amount", "1"]) == 2
    lines = "pricetag: --amount: is wrong amount\n  --time-zone: is wrong --time-zone\n"
    assert capsys.readouterr().err == lines


@pytest.mark.usefixtures("files")
def test_problems_of_a_file_have_a_line_each(api: FakeApi, capsys: Captured) -> None:
    hint = "e.g. 2026-03-01T12:00:00Z"
    faults: list[dict[str, Any]] = [
        {"field": "line 2, hour", "message": "has no time zone (got '2026-03-01')", "hint": hint},
        {"field": "line 3, hour", "message": "has no time zone (got '2026-03-02')", "hint": hint},
        {"field": "line 3, g_per_kwh", "message": "must be a number\n(got 'x')", "hint": None},
    ]
    message = "line 2, hour: has no time zone (got '2026-03-01') (and 7 others)"
    api.answers["POST /v1/carbon/import"] = problem(422, "malformed-file", message, *faults)
    use = next(use for use in USES if use.startswith("carbon import "))
    assert pricetag(use.split()) == 2
    assert capsys.readouterr().err == (
        "pricetag: line 2, hour: has no time zone (got '2026-03-01') (and 7 others)\n"
        "  line 3, hour: has no time zone (got '2026-03-02') (e.g. 2026-03-01T12:00:00Z)\n"
        "  line 3, g_per_kwh: must be a number (got 'x')\n"
    )


def test_details_of_a_factor_are_named_by_their_options(api: FakeApi, capsys: Captured) -> None:
    hint = "use a number from 0 to 1e+06 or details.periods"
    fault = {"field": "value", "message": "is missing", "hint": hint}
    api.answers["POST /v1/factors"] = problem(422, "invalid-factor", "value: is missing", fault)
    assert pricetag(["factor", "add", "tariff", "--basis", "b", "--source", "s"]) == 2
    assert "(use a number from 0 to 1e+06 or --periods)" in capsys.readouterr().err
