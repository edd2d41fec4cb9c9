"""Studies with their trials, price tag and savings, and lists of them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.db import Session
from app.repositories.studies import studies
from app.schemas.studies import (
    BestTrial,
    BracketRead,
    PowerSweepRead,
    RungRead,
    SavedRead,
    StudyFigures,
    StudyLimit,
    StudyPage,
    StudyRead,
    StudyStatus,
    StudySummary,
    TrialRead,
    TrialRun,
)
from app.services import access, cursors
from app.services.principals import Principal
from app.services.studies import ensembles, record
from app.services.studies.changing import not_found
from app.services.studies.record import FIGURES, NOT_ISSUED, Record, StudyRunRow
from pricetag.accounting.quantity.quantity import Quantity
from pricetag.accounting.quantity.together import sum_together
from pricetag.studies.decide import best_trial, score_of, states_of
from pricetag.studies.jobs import trained_before
from pricetag.studies.parse import parse_study
from pricetag.studies.power_sweep import LIMIT, LimitedRun, power_curve
from pricetag.studies.record import TrialRecord
from pricetag.studies.saved import Part, not_spent, of_longest, saved
from pricetag.studies.spec import StudySpec
from pricetag.studies.strategies import PowerSweep, resource_of
from pricetag.tag.figures import partly_counted

MOST_LONGEST = 20
"""Maximum number of runs of the most resource whose mean energy is that of further resource."""

LIST = "studies"
"""Name of the list in its cursors."""

Figures = Mapping[uuid.UUID, Mapping[str, Quantity]]


async def list_page(
    session: Session,
    principal: Principal,
    *,
    project: str | None,
    status: StudyStatus | None,
    cursor: str | None,
    limit: int,
) -> StudyPage:
    """A page of studies, newest first.

    Raises:
        CursorError: If the cursor is not one of this list.
        ProjectNotFoundError: If the project does not exist or is hidden.
    """
    if project is not None:
        await access.require_project(session, principal, project)
    after = cursors.position(cursor, LIST)
    rows = await studies.page(
        session, principal.viewer, project=project, status=status, after=after, limit=limit + 1
    )
    shown, next_cursor = cursors.page(
        rows, limit, lambda row: (LIST, row.Study.created_at.isoformat(), str(row.Study.id))
    )
    counts = await studies.counts(session, [row.Study.id for row in shown])
    return StudyPage(
        items=[
            StudySummary.model_validate(_summary(row, counts.get(row.Study.id))) for row in shown
        ],
        next_cursor=next_cursor,
    )


def _summary(row: Any, counted: Any) -> dict[str, Any]:
    study = row.Study
    spec = parse_study(study.spec, is_stored=True)
    return {
        "id": study.id,
        "name": study.name,
        "project": row.project,
        "experiment": study.experiment,
        "user": row.user,
        "strategy": spec.strategy.kind,
        "metric": spec.metric,
        "status": study.status,
        "status_reason": study.status_reason,
        "planned_trials": spec.plan.trials,
        "started_trials": 0 if counted is None else counted.trials,
        "runs": 0 if counted is None else counted.runs,
        "open_runs": 0 if counted is None else counted.open_runs,
        "created_at": study.created_at,
        "finished_at": study.finished_at,
    }


async def read(session: Session, principal: Principal, study_id: uuid.UUID) -> StudyRead:
    """A study with its trials, its price tag and what it saved.

    Raises:
        StudyNotFoundError: If the study does not exist, or the principal may not see it.
    """
    row = await studies.get(session, principal.viewer, study_id)
    if row is None:
        raise not_found(study_id)
    spec = parse_study(row.Study.spec, is_stored=True)
    study_record = await record.read(session, study_id, spec)
    figures = await record.figures(session, study_record.runs)
    counted = (await studies.counts(session, [study_id])).get(study_id)
    is_over = row.Study.status != "running"
    states = states_of(spec.plan, study_record.trials, is_over=is_over, goal=spec.metric.goal)
    return StudyRead.model_validate(
        {
            **_summary(row, counted),
            "spec": row.Study.spec,
            "brackets": _brackets(spec, study_record),
            "trials": [
                _trial(spec, trial, states[trial.number], study_record, figures)
                for trial in study_record.trials
            ],
            "best": _best(spec, study_record, figures),
            "price_tag": _sums(study_record.runs, figures),
            "saved": await _saved(session, spec, study_record, states),
            "ensemble": await ensembles.of_study(session, spec, study_record.runs),
            "power_sweep": _power_sweep(spec, study_record, figures),
            "budget": [
                StudyLimit.model_validate(limit)
                for limit in await record.limits(session, spec, study_record)
            ],
        }
    )


def _brackets(spec: StudySpec, study_record: Record) -> list[BracketRead]:
    def rung(bracket: int, number: int, state: str) -> int:
        return sum(
            number < len(trial.rungs) and trial.rungs[number].state == state
            for trial in study_record.trials
            if trial.bracket == bracket
        )

    return [
        BracketRead(
            number=bracket.number,
            rungs=[
                RungRead(
                    rung=place,
                    planned_trials=each.trials,
                    resource=each.resource,
                    open_trials=rung(bracket.number, place, "open"),
                    done_trials=rung(bracket.number, place, "done"),
                    failed_trials=rung(bracket.number, place, "failed"),
                    canceled_trials=rung(bracket.number, place, "canceled"),
                )
                for place, each in enumerate(bracket.rungs)
            ],
        )
        for bracket in spec.plan.brackets
    ]


def _trial(
    spec: StudySpec, trial: TrialRecord, state: str, study_record: Record, figures: Figures
) -> TrialRead:
    bracket = spec.plan.bracket(trial.bracket)
    runs = [study_record.run_of(trial.number, rung.rung) for rung in trial.rungs]
    sign = 1.0 if spec.metric.goal == "maximize" else -1.0
    ranked = [score_of(spec.plan, trial, rung.rung, spec.metric.goal) for rung in trial.rungs]
    scores = [sign * score for score in ranked if score is not None]
    return TrialRead.model_validate(
        {
            "number": trial.number,
            "bracket": trial.bracket,
            "state": state,
            "values": trial.values,
            "score": scores[-1] if scores else None,
            "runs": [
                TrialRun.model_validate(
                    {
                        "rung": rung.rung,
                        "resource": bracket.rungs[rung.rung].resource,
                        "run_id": run.run_id,
                        "status": run.status,
                        "reason": run.reason,
                        "score": rung.score,
                        "it_energy_kwh": _energy(run, figures).as_dict(),
                    }
                )
                for rung, run in zip(trial.rungs, runs, strict=True)
            ],
        }
    )


def _power_sweep(spec: StudySpec, study_record: Record, figures: Figures) -> PowerSweepRead | None:
    """Energy, time and cost against the power limit; None for other strategies."""
    strategy = spec.strategy
    if not isinstance(strategy, PowerSweep):
        return None
    trials = {float(trial.values[LIMIT]): trial for trial in study_record.trials}
    max_power_w = max(strategy.limits_w) * int(spec.base["resources"]["gpus"])
    runs = []
    for limit_w, trial in trials.items():
        run = study_record.run_of(trial.number, 0)
        own = {} if run.run_id is None else figures[run.run_id]
        unknown = {name: Quantity.unknown(FIGURES[name], NOT_ISSUED) for name in FIGURES}
        energy, duration = ({**unknown, **own}[name] for name in ("it_energy_kwh", "duration_s"))
        rung = trial.rungs[0]
        runs.append(LimitedRun(limit_w, energy, duration, rung.score, rung.state == "done"))
    curve = power_curve(
        runs,
        eta=strategy.eta,
        max_power_w=max_power_w,
        target=strategy.target,
        is_maximized=spec.metric.goal == "maximize",
    )
    return PowerSweepRead.model_validate(
        {
            "eta": strategy.eta,
            "max_power_w": max_power_w,
            "points": [
                {
                    "limit_w": point.run.limit_w,
                    "trial": trials[point.run.limit_w].number,
                    "it_energy_kwh": point.run.energy_kwh.as_dict(),
                    "duration_s": point.run.duration_s.as_dict(),
                    "score": point.run.score,
                    "cost_j": point.cost_j,
                    "reason": point.reason,
                }
                for point in curve.points
            ],
            "least_energy_w": curve.least_energy_w,
            "least_cost_w": curve.least_cost_w,
            "reason": curve.reason,
        }
    )


def _energy(run: StudyRunRow, figures: Figures) -> Quantity:
    if run.run_id is None:
        return Quantity.exact(0.0, "kWh", "counter")
    return figures[run.run_id]["it_energy_kwh"]


def _best(spec: StudySpec, study_record: Record, figures: Figures) -> BestTrial | None:
    best = best_trial(spec.plan, study_record.trials, spec.metric.goal)
    if best is None:
        return None
    trial, rung, score = best
    # A compressed model costs its training, too.
    of = {trial.number, spec.plan.parent_of(trial.number)}
    own = [run for run in study_record.runs if run.trial in of]
    return BestTrial(
        trial=trial.number,
        score=score,
        run_id=study_record.run_of(trial.number, rung).run_id,
        values=dict(trial.values),
        price_tag=_sums(own, figures),
    )


def _sums(runs: Sequence[StudyRunRow], figures: Figures) -> StudyFigures:
    """The sum of each figure over the runs that know it, with the number of the others."""
    ids = [run.run_id for run in runs if run.run_id is not None]
    sums: dict[str, Any] = {}
    unknown: dict[str, int] = {}
    for name in FIGURES:
        unit = record.unit_of(name)
        parts = {str(run_id): figures[run_id][name] for run_id in ids}
        known_parts = {run_id: part for run_id, part in parts.items() if part.value is not None}
        if len(known_parts) < len(parts):
            unknown[name] = len(parts) - len(known_parts)
        # A run that was canceled before it began has used none of any currency, and says nothing
        # about those whose use is unknown.
        real = {run_id: part for run_id, part in known_parts.items() if part.value}
        if real or len(known_parts) == len(parts):
            total = sum_together(real or known_parts, unit)
            if remark := partly_counted(real.values()):
                total = replace(total, reason=f"at least: {remark}")
        else:
            reasons = [part.reason for part in parts.values() if part.value is None]
            total = Quantity.unknown(unit, next(filter(None, reasons), NOT_ISSUED))
        sums[name] = total.as_dict()
    return StudyFigures.model_validate({**sums, "unknown_runs": unknown, "runs": len(ids)})


async def _saved(
    session: Session, spec: StudySpec, study_record: Record, states: Mapping[int, str]
) -> SavedRead | None:
    """What stopped trials did not spend; None where trials have one rung."""
    if all(len(bracket.rungs) == 1 for bracket in spec.plan.brackets):
        return None
    stopped = [trial for trial in study_record.trials if states[trial.number] == "stopped"]
    done = [run for run in study_record.runs if run.run_id and run.state == "done"]
    most = max((_added(spec, run) for run in done), default=0.0)
    longest = [run for run in done if _added(spec, run) == most][:MOST_LONGEST]
    ids = [run.run_id for run in study_record.runs if run.run_id and states[run.trial] == "stopped"]
    ids += [run.run_id for run in longest if run.run_id and run.run_id not in ids]
    documents = await studies.newest_documents(session, ids) if ids else {}
    resource = resource_of(spec.strategy)
    name = None
    if resource is not None:
        stage = spec.base["recipe"]["stages"][int(resource.field.split(".")[2])]
        name = str(stage.get("name") or stage["kind"])

    def part(run: StudyRunRow) -> Part:
        document = documents.get(run.run_id) if run.run_id is not None else None
        return Part(_added(spec, run), _trained(document, name))

    reference = of_longest([part(run) for run in longest])
    amounts = []
    for trial in stopped:
        bracket = spec.plan.bracket(trial.bracket)
        parts = [part(study_record.run_of(trial.number, rung.rung)) for rung in trial.rungs]
        amounts.append(not_spent(parts, bracket.rungs[-1].resource or 0.0, reference))
    total = saved(amounts)
    return SavedRead.model_validate(
        {
            "it_energy_kwh": total.energy.as_dict(),
            "stopped_trials": total.trials,
            "unknown_trials": total.unknown_trials,
        }
    )


def _added(spec: StudySpec, run: StudyRunRow) -> float:
    """The resource that a run added to its trial."""
    rungs = spec.plan.bracket_of(run.trial).rungs
    return (rungs[run.rung].resource or 0.0) - trained_before(spec, run.trial, run.rung)


def _trained(document: Mapping[str, Any] | None, stage: str | None) -> Quantity:
    """Energy of the stage that trains, over all attempts, or of the whole run without one."""
    if document is None:
        return Quantity.unknown("kWh", NOT_ISSUED)
    if stage is None:
        return _quantity(document.get("it_energy_kwh"))
    trained = [each for each in document.get("stages") or [] if each.get("name") == stage]
    spent = [each for each in trained if each.get("status") != "reused"]
    parts = {str(place): _quantity(each.get("it_energy_kwh")) for place, each in enumerate(spent)}
    return sum_together(parts, "kWh")


def _quantity(stored: Mapping[str, Any] | None) -> Quantity:
    if stored is None:
        return Quantity.unknown("kWh", "this version of the price tag has no such figure")
    if stored["value"] is None:
        return Quantity.unknown("kWh", stored.get("reason") or "unknown")
    return Quantity(
        stored["value"], stored["low"], stored["high"], stored["unit"], stored["source"]
    )
