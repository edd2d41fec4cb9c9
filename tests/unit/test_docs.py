"""Everything that README and docs mention exists."""

from __future__ import annotations

import ast
import json
import math
import re
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import typer
import yaml
from fastapi import FastAPI
from pydantic import BaseModel

from app import cli, demo
from app.errors import HTTP_CODES
from app.schemas.carbon import CarbonFetch, CarbonImport
from app.schemas.factors import FactorCreate
from app.schemas.prices import Ownership, PriceCreate, PriceImport
from app.schemas.sites import SiteCreate, SiteUpdate
from app.services.factors.defaults import WORLD_STD_RATIO
from app.services.factors.kinds import KINDS
from app.settings import Settings
from docs import generate
from pricetag import catalog
from pricetag.cli.app import app as commands
from pricetag.cli.app import run as run_command
from pricetag.cli.views.sheet import OUTSIDE
from pricetag.metering import amd, nvml
from pricetag.recipes import REGISTRY, RecipeEntry, parse_run_spec
from pricetag.recipes.base import StageParams
from pricetag.recipes.pruning import Pruning
from pricetag.recipes.registry import kind_of
from pricetag.recipes.students import Student
from pricetag.recipes.training import FullTraining, Optimisation
from tests.support.price_tags import tag, unmetered_run
from workers.command import worker

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text() for page in PAGES}
README = TEXTS["README.md"]
RECIPES = TEXTS["docs/reference/recipes.md"]
API = TEXTS["docs/reference/api.md"]
FACTORS = TEXTS["docs/how-to/factors.md"]

OTHER_VARIABLES = set(generate.VARIABLES)
SETTINGS = {f"PRICETAG_{name.upper()}" for name in Settings.model_fields if name != "client"}

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?:^|[\s;&|(/])pricetag[ \t]+([a-z][a-z-]*)((?:[ \t]+[^\s#`]+)*)", re.M)
by_page = pytest.mark.parametrize("page", list(TEXTS))


def fenced(text: str, language: str) -> list[str]:
    return [body for kind, body in FENCE.findall(text) if kind == language]


def code(text: str) -> str:
    """Everything that is set as code but Python and program output, one piece a line."""
    blocks = fenced(text, "bash") + fenced(text, "yaml")
    inline = re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    return "\n".join([*blocks, *inline])


def slug(heading: str) -> str:
    plain = re.sub(r"[^\w\- ]", "", heading.lower())
    return plain.strip().replace(" ", "-")


@by_page
def test_links_lead_somewhere(page: str) -> None:
    here = (ROOT / page).parent
    for target in LINK.findall(FENCE.sub("", TEXTS[page])):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (here / path).resolve() if path else ROOT / page
        assert file.is_relative_to(ROOT), target
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(), re.M)
            assert anchor in {slug(heading) for heading in headings}, target


def options_of() -> dict[str, set[str]]:
    """The options of each command, those of its subcommands among them."""
    service = typer.Typer()
    service.command("worker")(worker)
    service.command("demo")(demo.demo)
    service.add_typer(cli.commands)
    by_command: dict[str, set[str]] = {}
    for source in (commands, service):  # the second knows the options of what is handed over
        group: Any = typer.main.get_command(source)
        for name, command in group.commands.items():
            parts = [command, *getattr(command, "commands", {}).values()]
            params = [param for part in parts for param in part.params]
            by_command[name] = {o for p in params for o in (*p.opts, *p.secondary_opts)}
    return by_command


@by_page
def test_commands_and_their_options_exist(page: str) -> None:
    existing = options_of()
    for name, arguments in COMMAND.findall(code(TEXTS[page])):
        assert name in existing, f"pricetag {name}"
        for option in re.findall(r"(?<=\s)(--?[a-z][a-z-]*)", arguments):
            assert option in existing[name], f"pricetag {name} {option}"


def test_every_command_is_named_somewhere() -> None:
    named = {name for text in TEXTS.values() for name, _ in COMMAND.findall(code(text))}
    assert named == set(options_of())


@by_page
def test_make_targets_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = re.findall(r"\bmake ([a-z]+)", code(TEXTS[page]))
    assert set(named) <= targets


def test_generated_pages_are_up_to_date() -> None:
    stale = [path for path, text in generate.pages().items() if (ROOT / path).read_text() != text]
    assert stale == [], "run python -m docs.generate"


def test_every_setting_has_a_description() -> None:
    fields = Settings.model_fields.items()
    assert [name for name, field in fields if name != "client" and not field.description] == []


@by_page
def test_documented_variables_exist(page: str) -> None:
    named = set(re.findall(r"PRICETAG_[A-Z_]*[A-Z]", TEXTS[page]))
    assert named <= SETTINGS | OTHER_VARIABLES


RUNS = [block for text in TEXTS.values() for block in fenced(text, "yaml") if "\nrecipe:" in block]


@pytest.mark.parametrize("block", RUNS)
def test_documented_runs_are_accepted(block: str) -> None:
    assert parse_run_spec(yaml.safe_load(block)).recipe.stages


def test_the_first_example_is_the_one_of_the_api() -> None:
    from app.api.v1.examples import PIPELINE_RUN

    shown = parse_run_spec(yaml.safe_load(RUNS[0]))
    assert shown == parse_run_spec(PIPELINE_RUN)


def sections() -> dict[str, str]:
    """Sections of the recipes' page by heading."""
    parts = re.split(r"^## ", RECIPES, flags=re.M)[1:]
    return {part.partition("\n")[0].strip("`"): part for part in parts}


def test_the_recipes_page_has_the_stage_kinds_of_the_registry() -> None:
    headings = re.findall(r"^## `(\w+)`$", RECIPES, re.M)
    assert headings == [kind for kind, entry in REGISTRY.items() if kind == entry.family]


def test_every_method_that_must_be_named_has_a_page() -> None:
    pages = {page.stem for page in (ROOT / "docs" / "methods").glob("*.md")}
    assert pages == {kind for kind, entry in REGISTRY.items() if kind != entry.family}


def described(entry: RecipeEntry[Any]) -> str:
    """Where the docs describe a kind: a section for each, a page for a method."""
    if entry.kind == entry.family:
        return sections()[entry.kind]
    return TEXTS[f"docs/methods/{entry.kind}.md"]


def options(section: str) -> dict[str, str]:
    """Defaults by option; a row may have several options, as in ``| `a`, `b` | `0`, `1` |``."""
    listed: dict[str, str] = {}
    for names, defaults in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (.*?) \|", section, re.M):
        several = names.replace("`", "").split(", ")
        each = defaults.split(", ") if len(several) > 1 else [defaults]
        listed |= {name: _plain(text) for name, text in zip(several, each, strict=True)}
    return listed


def _plain(text: str) -> str:
    """A number as JSON writes it: `1e-3` is `0.001`."""
    try:
        return f"`{json.dumps(json.loads(text.strip('`')))}`" if text.startswith("`") else text
    except ValueError:
        return text


def default(model: type[BaseModel], name: str) -> str:
    field = model.model_fields[name]
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_none=True)
    return "null" if value is None else f"`{json.dumps(value)}`"


@pytest.mark.parametrize("entry", list(REGISTRY.values()), ids=list(REGISTRY))
def test_options_and_defaults_are_those_of_the_parameter_class(entry: RecipeEntry[Any]) -> None:
    shared = (Pruning, FullTraining, Optimisation)  # options that are described once
    bases = (Optimisation,) if entry.kind == entry.family else shared
    base = next((one for one in bases if issubclass(entry.params, one)), StageParams)
    defaults = {
        name: default(entry.params, name) for name in entry.params.model_fields if name != "kind"
    }
    own = defaults.keys() - base.model_fields.keys() - {"name"}
    section = described(entry)
    listed = options(section)
    assert sorted(own - listed.keys()) == []
    assert {name: defaults.get(name) for name in listed} == listed
    assert entry.paper.url in section
    examples = [yaml.safe_load(example) for example in fenced(section, "yaml")]
    stages = [stage for example in examples for stage in example.get("stages", [example])]
    shown = [stage for stage in stages if kind_of(stage) == entry.kind]
    assert [entry.params.model_validate(stage) for stage in shown] != []


def test_shared_options_are_documented_once() -> None:
    section = sections()["Options of every stage that trains"]
    names = set(Optimisation.model_fields) - {"kind", "name"}
    assert options(section) == {name: default(Optimisation, name) for name in names}
    assert all(f"`{name}`" in sections()["distill"] for name in Student.model_fields)


def spoken_codes(folder: str, calls: set[str]) -> set[str]:
    """Error codes in a package: class attributes, reasons, and arguments of calls."""
    error_codes: set[str] = set()
    for file in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "code":
                error_codes |= texts([node.value])
            if isinstance(node, ast.Dict):
                pairs = zip(node.keys, node.values, strict=True)
                error_codes |= texts([v for k, v in pairs if texts([k]) == {"code"}])
            if isinstance(node, ast.Call) and ast.unparse(node.func) in calls:
                first = [text for text in node.args[:2] if texts([text])][:1]
                error_codes |= texts(first)
            if isinstance(node, ast.keyword) and node.arg == "code":
                error_codes |= texts([node.value])
    return {code for code in error_codes if re.fullmatch(r"[a-z]+(-[a-z]+)*", code)}


def texts(nodes: list[Any]) -> set[str]:
    return {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def table_codes() -> set[str]:
    rows = re.findall(r"^\| [1-5]\d\d \| (.*) \|$", API, re.M)
    return {code for row in rows for code in re.findall(r"`([a-z-]+)`", row)}


def test_every_code_of_the_server_is_in_the_api_page() -> None:
    bases = {"error", "invalid", "conflict", "unauthorized", "forbidden", "http-error"}
    never = {"unknown-grid-zone"}  # the settings reject such a zone when the server starts
    runs_own = {"cancelled", "worker-lost", "failed", "attempts-exhausted", "resumed"}
    spoken = spoken_codes("app", {"BodyError", "problem"}) | set(HTTP_CODES.values())
    assert table_codes() == spoken - bases - never - runs_own


def test_every_code_of_the_worker_is_in_the_api_page() -> None:
    paragraph = API.partition("Errors on the worker")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z]+(?:-[a-z]+)+|hung)`", paragraph))
    stops = {"worker-stopping", "lease-lost", "attempts-exhausted"}
    folders = ("workers", "pricetag/attempt")
    codes = {
        code for folder in folders for code in spoken_codes(folder, {"JobError", "FetchError"})
    }
    spoken = codes - {"cancelled"}
    assert named == spoken | stops


@pytest.fixture(scope="module")
def api(unserved: FastAPI) -> FastAPI:
    return unserved


@pytest.mark.parametrize(
    ("path", "model"),
    [("/v1/prices/import", PriceImport), ("/v1/carbon/import", CarbonImport)],
)
def test_documented_import_files_have_the_fields_of_their_body(
    path: str, model: type[BaseModel]
) -> None:
    (shown,) = re.findall(
        r"jq -Rs '\{([^}]*)\}' \S+ \|\n *curl -sX POST \$PRICETAG_URL" + path, API
    )
    fields = {name: text or "a,b\n" for name, text in re.findall(r'(\w+): (?:"([^"]*)"|\.)', shown)}
    assert model.model_validate(fields).model_fields_set == set(fields)


@pytest.mark.parametrize(
    ("operation", "model"),
    [
        ("POST /v1/sites", SiteCreate),
        ("PATCH /v1/sites/{name}", SiteUpdate),
        ("POST /v1/factors", FactorCreate),
        ("POST /v1/sites/{name}/factors", FactorCreate),
        ("POST /v1/prices", PriceCreate),
        ("POST /v1/carbon/fetch", CarbonFetch),
    ],
)
def test_documented_fields_are_those_of_the_body(operation: str, model: type[BaseModel]) -> None:
    rows = [row.split("|") for row in FACTORS.splitlines() if row.startswith("| `P")]
    (row,) = [row for row in rows if f"`{operation}`" in row[1]]
    required, optional = (set(re.findall(r"`(\w+)`", cell)) for cell in row[2:4])
    needed = {name for name, field in model.model_fields.items() if field.is_required()}
    assert required == needed
    assert optional == set(model.model_fields) - needed


def test_documented_nested_fields_are_those_of_the_body() -> None:
    (text,) = [line for line in FACTORS.splitlines() if line.startswith("`details` of a tariff")]
    details, _, owned = text.partition("`ownership` has")
    kind_details = {name for kind in KINDS.values() for name in kind.details}
    assert set(re.findall(r"`(\w+)`", details)) == {"details", *kind_details}
    assert set(Ownership.model_fields) <= set(re.findall(r"`(\w+)`", owned))


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/reference/api.md",
        "docs/how-to/factors.md",
        "docs/reference/recipes.md",
        "docs/reference/reports.md",
    ],
)
def test_documented_operations_exist(page: str, api: FastAPI) -> None:
    paths = api.openapi()["paths"]
    existing = {
        (method.upper(), re.sub(r"\{\w+\}", "*", path))
        for path, methods in paths.items()
        for method in methods
    }
    for method, path in re.findall(r"`(GET|POST|PATCH|DELETE) (/[^`\s]*)`", TEXTS[page]):
        plain = re.sub(r"\{\w+\}", "*", path)
        generic = re.sub(r"\.(html|pdf|tex|md|csv|json)$", ".*", plain)
        if path != "/docs" and path != "/openapi.json":
            assert existing & {(method, plain), (method, generic)}, f"{method} {path}"


def test_the_documented_estimate_equals_the_computed_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (line,) = re.findall(r"^pricetag (estimate .*)$", README, re.M)
    assert run_command(line.split()) == 0
    printed = [" ".join(row.split()) for row in capsys.readouterr().out.splitlines() if row.strip()]
    shown = [" ".join(row.split()) for row in fenced(README, "text")[1].splitlines()]
    assert shown == printed


def test_the_readme_is_short_and_finished() -> None:
    assert len(README.splitlines()) <= 150
    assert not [page for page, text in TEXTS.items() if re.search(r"@@|TODO|TBD", text)]


def test_the_documented_demo_is_the_actual_one() -> None:
    shown = fenced(README, "text")[0]
    assert str(demo.RUN["name"]) in shown
    named = {stage.get("name") for stage in demo.RUN["recipe"]["stages"]}
    table = shown.partition("\nStage ")[2].partition("\n\n")[0]
    shown_stages = [re.split(r" {2,}", row)[0] for row in table.splitlines()[1:]]
    assert shown_stages[-1] == OUTSIDE
    assert set(shown_stages[:-1]) <= named
    assert len(shown_stages) >= 5


METHODOLOGY = TEXTS["docs/explanation/methodology.md"]


def test_sections_of_the_methodology_are_numbered_and_those_named_exist() -> None:
    headings = re.findall(r"^## (?:(\d+)\. )?(.+)$", METHODOLOGY, re.M)
    assert headings.pop() == ("", "References")
    assert [int(number or 0) for number, _ in headings] == list(range(1, len(headings) + 1))
    named = re.findall(r"(?:\(|, |\[)section (\d+)[)\]]", METHODOLOGY)
    assert {"2", "6", "7", "8"} <= set(named) <= {number for number, _ in headings}


def test_references_of_the_methodology_exist_and_are_used() -> None:
    text, _, references = METHODOLOGY.partition("## References")
    listed = re.findall(r"^(\d+)\. ", references, re.M)
    assert listed == [str(number) for number in range(1, len(listed) + 1)]
    used = {number for group in re.findall(r"\[([\d, ]+)\]", text) for number in group.split(", ")}
    assert used <= set(listed)
    assert {"14", "15", "16", "17"} <= used


def test_gain_errors_of_gpus_are_those_of_their_meters() -> None:
    summary = TEXTS["docs/explanation/methodology-summary.md"]
    assert f"NVIDIA {nvml.GAIN_STD_RATIO:.0%}, AMD {amd.GAIN_STD_RATIO:.0%}" in summary
    (row,) = re.findall(r"^\| `gpu:<uuid>` \| .*$", METHODOLOGY, re.M)
    assert row.endswith(f"| {nvml.GAIN_STD_RATIO:.0%}; AMD {amd.GAIN_STD_RATIO:.0%} |")


def test_the_spread_of_countries_around_the_world_mean_is_as_documented() -> None:
    world = catalog.grid_factor("WLD").g_per_kwh
    apart = [math.log(f.g_per_kwh / world) for f in catalog.grid_factors() if f.zone != "WLD"]
    away = math.exp(math.sqrt(fmean(value**2 for value in apart)))
    assert round(1 + WORLD_STD_RATIO, 1) == round(away, 1)
    inside = fmean(abs(value) <= 1.96 * math.log1p(WORLD_STD_RATIO) for value in apart)
    assert (
        f"times or divided by {away:.1f} | how far a place may deviate from it: the root mean "
        f"square of the logarithms of the ratios of the catalog's {len(apart)} countries to it. "
        "They are between "
        f"{math.exp(min(apart)):.2f} and {math.exp(max(apart)):.1f} times the mean, and "
        f"{inside:.0%} of them within its interval"
    ) in METHODOLOGY


def test_the_glossary_says_why_a_clock_is_a_counter() -> None:
    made = tag(unmetered_run())
    assert made["duration_s"]["source"] == "counter"  # nothing was metered, but the clock ran
    (source,) = re.findall(r"^\| source \| (.*) \|$", TEXTS["docs/glossary.md"], re.M)
    assert "for times and coverage the clock, which counts time" in source
    assert "every machine, whether or not it has an energy counter" in METHODOLOGY
