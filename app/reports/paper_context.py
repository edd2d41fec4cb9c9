"""The content of a report on a paper: all of its runs, and what they cost together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from app.reports.context import PROFILES, SCHEMA, model_card, run_figures
from app.reports.sections import (
    ai_act,
    bill,
    ensembles,
    methods,
    neurips,
    paper,
    provenance,
    published,
    search,
    strubell,
)
from app.reports.shape import Section
from app.reports.text import clean_all
from pricetag.tag import best_of_k
from pricetag.tag.axes import SPENDING, Spending
from pricetag.tag.evaluated import Evaluated, ScoredRun, kinds
from pricetag.tag.factors import AppliedFactor, applied
from pricetag.tag.figure import Figure
from pricetag.tag.frontier import frontier_of, marginal_prices, wasted_cost
from pricetag.tag.paper import (
    PaperRun,
    PaperTrial,
    budget_line,
    by_experiment,
    by_purpose,
    paper_trials,
)
from pricetag.tag.published import published_row
from pricetag.tag.research import Ended, best_run, equivalents, green_ai, research_parts
from pricetag.tag.scores import LOWER_IS_BETTER
from pricetag.tag.strubell import Profile, StrubellRow, strubell_row
from pricetag.tag.totals import Totals, totals
from pricetag.tag.view import TagView

AXIS: Spending = "it_energy_kwh"
"""The cost of the curves and of the frontier."""


@dataclass(frozen=True, slots=True)
class About:
    """What a report states about its paper.

    Attributes:
        paper_id: ID of the paper.
        title: Its title.
        authors: Its authors; None if not stated.
        project: Its project.
        rule: Conditions of the runs that it collects; None without a rule.
        frozen_at: Time of freezing (ISO 8601); None while it collects runs.
        selection_sha256: Hash of the frozen runs; None while it collects runs.
        not_counted: Runs that are not in any figure: `run_id`, `name`, `reason`.
        budgets: Budgets of the project: `name`, `metric`, `amount`, `unit`, `period`.
        origins: Number of runs that were added by hand (`added`) and by the rule (`rule`).
        published: Rows of other publications, as they were entered.
        ensembles: Ensembles of trials, by study: `name`, and what a study of that kind states.
    """

    paper_id: str
    title: str
    authors: str | None
    project: str
    rule: Mapping[str, Any] | None
    frozen_at: str | None
    selection_sha256: str | None
    not_counted: Sequence[Mapping[str, str]]
    budgets: Sequence[Mapping[str, Any]]
    origins: Mapping[str, int] = field(default_factory=dict)
    published: Sequence[Mapping[str, Any]] = ()
    ensembles: Sequence[Mapping[str, Any]] = ()


def paper_context(
    about: About,
    profile: Profile,
    runs: Sequence[PaperRun],
    *,
    generated_at: datetime,
    with_equivalents: bool = False,
) -> dict[str, Any]:
    """The content of all formats of a report on a paper.

    Args:
        about: The paper.
        profile: Selects the factors for the measured energy.
        runs: Its runs with a price tag, in the order in which they were posted.
        generated_at: Time of creation, with time zone.
        with_equivalents: Whether emissions are compared with well-known ones.
    """
    tags = [run.scored.tag for run in runs]
    sums = totals(tags, profile)
    rows = [strubell_row(tag, profile) for tag in tags]
    factors = applied(tags, profile)
    content = _content(about, runs, with_equivalents)
    lines = [_line(run) for run in content["runs"]]
    lines += [published.csv_line(each) for each in content["published"]]
    context = {
        "schema": SCHEMA,
        "title": about.title,
        "profile": profile,
        "profile_label": PROFILES[profile],
        "generated_at": generated_at.isoformat(timespec="seconds"),
        "generated_label": generated_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "lead": bill.lead(sums) if runs else published.lead(content),
        "sections": _sections(content, tags, sums, rows, factors, profile),
        "model_card": model_card(tags, sums, profile),
        "line_columns": list(dict.fromkeys(name for line in lines for name in line)),
        "lines": lines,
        "quality": [],
        "runs": [run_figures(row, tag) for row, tag in zip(rows, tags, strict=True)],
        "totals": sums.as_dict(),
        "factors": provenance.factor_lines(factors),
        "paper": content,
    }
    return cast(dict[str, Any], clean_all(context))


def _sections(
    content: Mapping[str, Any],
    tags: Sequence[TagView],
    sums: Totals,
    rows: Sequence[StrubellRow],
    factors: Sequence[AppliedFactor],
    profile: Profile,
) -> list[Section]:
    """The sections of a report; one without runs of the paper has published rows alone."""
    published_rows = published.section(content)
    rows_or_nothing = [] if published_rows is None else [published_rows]
    if not tags:
        return [paper.selection_section(content), *rows_or_nothing, *published.statements()]
    return [
        paper.selection_section(content),
        bill.section(sums, tags),
        paper.budget_section(content),
        *filter(None, (search.research_section(content), search.curves_section(content))),
        *filter(None, (search.frontier_section(content), search.omitted_section(content))),
        *filter(None, [ensembles.section(content)]),
        strubell.section(rows, sums, profile),
        *rows_or_nothing,
        methods.section(tags, sums, profile),
        provenance.factors_section(factors, len(tags), profile),
        neurips.section(content, sums),
        ai_act.section(content, tags, sums),
        paper.hashes_section(content),
    ]


def _published(about: About, with_equivalents: bool) -> list[dict[str, Any]]:
    """The rows of other publications, each with its figures."""
    lines = []
    for entered in about.published:
        shown = published_row(entered)
        kilos = shown.co2e_kg
        emitted = Figure(kilos.value, None, None, "kg", kilos.source, kilos.reason)
        lines.append(
            {
                "entered": dict(entered),
                "figures": shown.as_dict(),
                "equivalents": [asdict(each) for each in equivalents(emitted)]
                if with_equivalents
                else None,
            }
        )
    return lines


def _content(about: About, runs: Sequence[PaperRun], with_equivalents: bool) -> dict[str, Any]:
    """The paper's own data."""
    whole = budget_line("", runs)
    content = {
        **asdict(about),
        "runs": [run.as_dict() for run in runs],
        "totals": whole.as_dict(),
        "by_purpose": [line.as_dict() for line in by_purpose(runs)],
        "by_experiment": [line.as_dict() for line in by_experiment(runs)],
        "equivalents": [asdict(each) for each in equivalents(whole.used["co2e_kg"])]
        if with_equivalents
        else None,
        "published": _published(about, with_equivalents),
    }
    # The price of a rung is a part of its model's price, and rungs of a trial are one trial.
    trials = paper_trials(runs)
    summed = [trial for trial in trials if len(trial.runs) > 1]
    content["summed_trials"] = len(summed)
    content["summed_runs"] = sum(len(trial.runs) for trial in summed)
    content["incomplete_trials"] = sum(trial.scored.incomplete is not None for trial in trials)
    kind = next((kind for kind, _ in kinds([trial.scored for trial in trials])), None)
    content["score"] = None if kind is None else asdict(kind)
    content["research"] = _research(runs, trials, kind)
    content["curves"] = _curves(trials, kind)
    content["frontier"] = _frontier(trials, kind)
    return content


def _research(
    runs: Sequence[PaperRun], trials: Sequence[PaperTrial], kind: Evaluated | None
) -> dict[str, Any] | None:
    best = best_run([trial.scored for trial in trials], kind)
    if best is None or kind is None:
        return None
    own = next(trial for trial in trials if trial.scored is best)
    tuning = [trial for trial in trials if trial.method == own.method]
    # A training is counted once, however many models are compressed from its model.
    of_tuning = dict.fromkeys(id(run) for trial in tuning for run in (*trial.trained, *trial.runs))
    parts = research_parts(
        _ended([*own.trained, *own.runs]),
        _ended([run for run in runs if id(run) in of_tuning]),
        _ended(runs),
        incomplete=best.incomplete,
    )
    return {
        "run_id": best.tag.document.run_id,
        "name": best.tag.name,
        "method": own.method,
        "quality": best.scores[kind],
        "parts": [
            {
                "name": part.name,
                "runs": part.runs,
                "unsuccessful": part.unsuccessful,
                "costs": {axis: part.costs[axis].as_dict() for axis in SPENDING},
            }
            for part in parts
        ],
        "green_ai": asdict(green_ai(best.tag, len(tuning))),
    }


def _ended(runs: Sequence[PaperRun]) -> list[Ended]:
    return [(run.scored.tag, run.status) for run in runs]


def _curves(trials: Sequence[PaperTrial], kind: Evaluated | None) -> dict[str, Any]:
    scored: dict[str, list[ScoredRun]] = {}
    for trial in trials:
        scored.setdefault(trial.method, []).append(trial.scored)
    curves = {axis: best_of_k.methods(scored, axis, kind) for axis in SPENDING}
    main = curves[AXIS]
    is_lower = kind is not None and kind.metric in LOWER_IS_BETTER
    units = {method.cost.unit for method in main if method.cost.value is not None}
    return {
        "metric": AXIS,
        "methods": [
            {
                "name": method.name,
                "trials": method.trials,
                "unscored": method.unscored,
                "mean_costs": {axis: curves[axis][n].cost.as_dict() for axis in SPENDING},
                "points": [asdict(best) for best in method.best],
                "reason": method.reason,
            }
            for n, method in enumerate(main)
        ],
        "crossings": [asdict(each) for each in best_of_k.crossings(main)]
        if len(units) <= 1
        else [],
        "verdicts": best_of_k.verdicts(main, lower_is_better=is_lower),
    }


def _frontier(trials: Sequence[PaperTrial], kind: Evaluated | None) -> dict[str, Any]:
    result = frontier_of([trial.scored for trial in trials], AXIS, kind)
    best = {view.document.run_id for view, _, _ in result.steps}
    prices = [price.as_dict() for price in marginal_prices(result)]
    is_lower = kind is not None and kind.metric in LOWER_IS_BETTER
    return {
        "metric": AXIS,
        "points": [
            {
                "run_id": point.run.tag.document.run_id,
                "name": point.run.tag.name,
                "method": trial.method,
                "status": trial.status,
                "runs": len(trial.runs),
                "cost": point.cost.as_dict(),
                "quality": point.quality,
                "is_best": point.run.tag.document.run_id in best,
            }
            for trial, point in zip(trials, result.points, strict=True)
        ],
        "steps": [
            {"run_id": view.document.run_id, "price": price, "is_costlier": is_costlier}
            for (view, _, is_costlier), price in zip(result.steps, prices, strict=True)
        ],
        "wasted_cost": wasted_cost(result, lower_is_better=is_lower).as_dict(),
        "reason": result.reason,
    }


def _line(run: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the CSV: the run, its figures with intervals and evidence, its quote."""
    line = {
        name: run[name]
        for name in (
            *("run_id", "name", "project", "experiment", "method", "status"),
            *("purpose", "group", "hardware", "origin", "measured_by", "version", "sha256"),
        )
    }
    for axis, figure in run["figures"].items():
        line[axis] = figure["value"]
        for part in ("low", "high", "source", "reason"):
            line[f"{axis}_{part}"] = figure[part]
    cost = run["figures"]["cost"]
    line["cost_currency"] = None if cost["value"] is None else cost["unit"]
    for axis, figure in run["planned"].items():
        line[f"planned_{axis}"] = figure["value"]
    return line
