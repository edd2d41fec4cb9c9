"""Accuracy of quotes: each scored when its run has ended, and summarized over many runs."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from app.db import Session
from app.repositories.factors import sites
from app.repositories.outage import OUTAGES
from app.repositories.quotes import outcomes
from app.repositories.quotes import quotes as quote_rows
from app.repositories.quotes import scores as quote_scores
from app.repositories.quotes.scores import ErrorSums
from app.schemas.quotes import ScoreGroup, ScoreRead
from app.services.quoting.likeness import Step, examples_per_step, likeness, steps
from models import PriceTag, Run
from models.base import now
from pricetag.accounting.bill.bill import NOTHING_RESERVED
from pricetag.accounting.forecast.score import NAMES, hit, score_of
from pricetag.recipes.registry import runs_program
from pricetag.tag.measured import QUEUE

logger = logging.getLogger(__name__)

NEWEST = 10_000
"""Maximum number of scores in a summary."""

FINAL = frozenset({"succeeded", "failed", "cancelled"})
REPRICED = "repriced"


async def record(session: Session, run: Run, tag: PriceTag) -> None:
    """Stores a finished run's usage for later quotes, and scores its own quote.

    Called with every price tag; an error is only logged, since it must not lose the price tag.

    Args:
        session: Committed by the caller.
        run: The run in its current state.
        tag: Its latest price tag.
    """
    if run.status not in FINAL or run.origin != QUEUE:  # quotes are for runs of the queue
        return
    try:
        async with session.begin_nested():
            if run.status == "succeeded" and NOTHING_RESERVED not in tag.content["flags"]:
                await _keep(session, run, tag)
            if tag.cause != REPRICED:  # its factors are not those of the quote
                await _score(session, run, tag)
    except OUTAGES:
        raise
    except Exception:  # a failed score must not lose a price tag
        logger.exception("run %s: its quote could not be scored", run.id)


async def _keep(session: Session, run: Run, tag: PriceTag) -> None:
    content = tag.content
    alike = likeness(run.recipe)
    planned = steps(run.recipe, run.gpus)
    trained = await quote_rows.training_counts(session, run.id)
    # A script's own FLOP counts are on its price tag, but do not predict other runs.
    is_script = runs_program(run.recipe)
    await outcomes.put(
        session,
        {
            "run_id": run.id,
            "recipe_sha256": alike.recipe_sha256,
            "shape_sha256": alike.shape_sha256,
            "family_sha256": alike.family_sha256,
            "data_sha256": alike.data_sha256,
            "model_sha256": alike.model_sha256,
            "pool": run.pool,
            "gpus": run.gpus,
            "site": await sites.of_run(session, run.id),
            "ended_at": run.finished_at or now(),
            "price_tag_version": tag.version,
            "duration_s": _value(content, "duration_s"),
            "it_energy_kwh": _value(content, "it_energy_kwh"),
            "coverage_ratio": _value(content, "coverage_ratio"),
            "flops": None if is_script else _value(content.get("flops", {}), "dense"),
            "steps": list(_steps(run, planned, content, trained)),
        },
    )


def _steps(
    run: Run,
    planned: Iterable[Step],
    content: Mapping[str, Any],
    trained: Mapping[str, Mapping[str, float]],
) -> Iterable[dict[str, Any]]:
    """Usage and amount of work of each step, over all attempts."""
    parts: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for stage in content["stages"]:
        parts[stage["key"]].append(stage)
    for number, step in enumerate(planned):
        key = str(number)
        stage = run.recipe["stages"][step.recipe_index]
        epochs = trained.get(key, {}).get("epochs", step.work.epochs)
        examples = step.work.examples
        per_step = examples_per_step(stage, run.gpus)
        if "steps" in trained.get(key, {}) and per_step is not None:
            examples = trained[key]["steps"] * per_step
        yield {
            "kind": step.kind,
            "work": {"epochs": epochs, "examples": examples, "seconds": step.work.seconds},
            "duration_s": _sum(_value(part, "duration_s") for part in parts[key]),
            "it_energy_kwh": _sum(_value(part, "it_energy_kwh") for part in parts[key]),
            "flops": _sum(_value(part.get("flops", {}), "dense") for part in parts[key]),
        }


def _value(of: Mapping[str, Any], name: str) -> float | None:
    value = (of.get(name) or {}).get("value")
    return None if value is None else float(value)


def _sum(figures: Iterable[float | None]) -> float | None:
    values = [figure for figure in figures if figure is not None]
    return sum(values) if values else None


async def _score(session: Session, run: Run, tag: PriceTag) -> None:
    quote = await quote_rows.get(session, run.id)
    if quote is None:
        return
    actual = actual_quantities(tag.content)
    hits = {name: hit(quote.content["quantities"][name], actual[name]) for name in NAMES}
    if quote.currency is not None and actual["cost"].get("unit") != quote.currency:
        hits["cost"] = None
    score = {
        "status": run.status,
        "price_tag_version": tag.version,
        "method": quote.method,
        "level": quote.content["level"],
        "pool": run.pool,
        "quantities": {name: result.as_dict() if result else None for name, result in hits.items()},
    }
    await quote_rows.set_score(session, run.id, score, now())


def actual_quantities(content: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The quantities of a price tag that a quote also has."""
    return {name: content[name] for name in NAMES if name != "cost"} | {
        "cost": content["cost"]["total"]
    }


async def scores(session: Session) -> ScoreRead:
    """Accuracy of the quotes of successful runs, by method, similarity, pool and quantity.

    Failed and canceled runs did not do the quoted work, so they do not count.
    """
    summary = await quote_scores.summed(session, NEWEST)
    return ScoreRead(
        runs=summary.runs,
        unquoted=summary.unquoted,
        groups=[_group(sums) for sums in sorted(summary.groups, key=_order)],
    )


def _group(sums: ErrorSums) -> ScoreGroup:
    score = score_of(sums.count, sums.inside, sums.median_error, sums.median_abs_error)
    return ScoreGroup(
        method=sums.method,
        level=sums.level,
        pool=sums.pool,
        quantity=sums.quantity,
        count=score.count,
        median_factor=score.median_factor,
        bias_factor=score.bias_factor,
        inside_ratio=score.inside_ratio,
    )


def _order(sums: ErrorSums) -> tuple[str, str, str, int]:
    return sums.method, sums.level or "", sums.pool, NAMES.index(sums.quantity)
