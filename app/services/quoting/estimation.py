"""Quotes: predicts a run's usage before it begins, with the basis."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.db import Session
from app.repositories.outage import OUTAGES
from app.repositories.quotes import outcomes
from app.repositories.quotes import quotes as quote_rows
from app.services.factors import resolution as site_factors
from app.services.factors.current import CurrentFactors
from app.services.quoting import history, operations
from app.services.quoting.draft import QuoteDraft
from app.services.quoting.history import SimilarRuns
from app.services.quoting.likeness import Step, former_likeness, likeness, steps
from app.services.quoting.operations import FromOperations, Hardware, NoOperations
from app.settings import get_settings
from models import Node, Quote, Run
from models.base import now
from pricetag import catalog
from pricetag.accounting.bill.inputs import Factors
from pricetag.accounting.forecast.estimates import Forecast
from pricetag.accounting.forecast.price import Rates, quantities, rates_of
from pricetag.accounting.forecast.projection import Range
from pricetag.accounting.forecast.score import NAMES
from pricetag.accounting.quantity.quantity import Quantity
from pricetag.recipes import RunSpec
from pricetag.tag.figures import counted

logger = logging.getLogger(__name__)

NAMED_RUNS = 20
"""Maximum number of similar runs that a quote lists by id; it also states the total."""

_CURRENT: CurrentFactors[tuple[str | None, tuple[str, ...], datetime]] = CurrentFactors()
"""By site, accelerators and hour."""

UNITS = {"duration_s": "s", "cost": "money", "co2e_kg": "kg"}


async def quote_for(session: Session, spec: RunSpec, project: str | None) -> QuoteDraft:
    """Predicts a run's energy, emissions and cost.

    An error in the estimator never rejects a run: its quote is then unknown, with a reason.

    Args:
        session: Only read; an error leaves the caller's transaction unchanged.
        spec: The run as it was posted.
        project: The only project whose runs count although it is private: the run's own, if the
            author may see it. The figures of a few runs can be read from a quote, so that runs of
            other private projects are not used.
    """
    try:
        async with session.begin_nested():
            return await _estimate(session, spec, project)
    except OUTAGES:
        raise
    except Exception as error:  # whatever went wrong, an estimate must not reject a run
        logger.exception("run %r: no quote; the estimator failed", spec.name)
        reason = f"the estimator failed ({type(error).__name__})"
        return QuoteDraft(
            "unknown", reason, _all_unknown(reason), spec.resources.pool, spec.resources.gpus
        )


def _all_unknown(reason: str) -> dict[str, Quantity]:
    return {name: Quantity.unknown(UNITS.get(name, "kWh"), reason) for name in NAMES}


async def _estimate(session: Session, spec: RunSpec, project: str | None) -> QuoteDraft:
    recipe = spec.recipe.model_dump(mode="json")
    pool, gpus = spec.resources.pool, spec.resources.gpus
    fingerprints, planned = likeness(recipe), steps(recipe, gpus)
    hardware = await _hardware(session, pool) if gpus else Hardware((), None, None)
    factors = await _factors(session, pool, gpus, hardware.names)
    rates = rates_of(factors, gpus)
    cited = tuple(_cited(factors))
    former = former_likeness(recipe)
    similar = await history.find(
        session, fingerprints, planned, project=project, pool=pool, gpus=gpus, former=former
    )
    if similar is not None:
        return _by_history(similar, planned, rates, cited, pool=pool, gpus=gpus)
    try:
        by_flops = await operations.estimate(
            session,
            recipe,
            fingerprints,
            planned,
            project=project,
            pool=pool,
            gpus=gpus,
            hardware=hardware,
            former=former,
        )
    except NoOperations as error:
        reason = f"no similar run has succeeded in pool {pool!r} yet; {error}"
        unknown = quantities(reason, reason, rates)
        return QuoteDraft(
            "unknown", reason, unknown, pool, gpus, rates=rates, factors=cited,
            steps=tuple(_step(step) for step in planned),
        )  # fmt: skip
    return _by_operations(by_flops, planned, rates, cited, pool=pool, gpus=gpus)


def _by_history(
    similar: SimilarRuns,
    planned: Sequence[Step],
    rates: Rates,
    cited: tuple[Mapping[str, Any], ...],
    *,
    pool: str,
    gpus: int,
) -> QuoteDraft:
    expected = similar.expected
    text = f"{counted(len(expected.runs), 'run')} of {similar.level.text} in pool {pool!r}"
    duration_s = _range(expected.duration_s, "the similar runs have no duration")
    energy = _range(expected.it_energy_kwh, "the similar runs were not fully metered")
    each = list(expected.steps) + [None] * (len(planned) - len(expected.steps))
    return QuoteDraft(
        method="history",
        text=text,
        quantities=quantities(duration_s, energy, rates),
        pool=pool,
        gpus=gpus,
        level=similar.level.name,
        runs=expected.runs[:NAMED_RUNS],
        run_count=len(expected.runs),
        work_ratio=expected.work_ratio,
        steps=tuple(
            _step(step, forecast.duration_s, forecast.it_energy_kwh) if forecast else _step(step)
            for step, forecast in zip(planned, each, strict=False)
        ),
        rates=rates,
        factors=cited,
    )


def _by_operations(
    prediction: FromOperations,
    planned: Sequence[Step],
    rates: Rates,
    cited: tuple[Mapping[str, Any], ...],
    *,
    pool: str,
    gpus: int,
) -> QuoteDraft:
    operations = prediction.operations
    notes = [f"operations: {operations.flops.value:.3g} FLOP, {operations.how}"]
    if operations.skipped:
        notes.append(
            f"excluding stages without counted operations: {', '.join(operations.skipped)}"
        )
    return QuoteDraft(
        method="flops",
        text=prediction.how,
        quantities=quantities(
            _range(prediction.duration_s, ""), _range(prediction.it_energy_kwh, ""), rates
        ),
        pool=pool,
        gpus=gpus,
        steps=tuple(_step(step) for step in planned),
        rates=rates,
        factors=cited,
        notes=tuple(notes),
    )


def _range(figure: Forecast | str | None, reason: str) -> Range | str:
    if figure is None or isinstance(figure, str):
        return figure or reason
    return Range.of(figure)


def _step(
    step: Step, duration_s: Forecast | None = None, it_energy_kwh: Forecast | None = None
) -> dict[str, Any]:
    def pair(forecast: Forecast | None) -> list[float] | None:
        return None if forecast is None else [forecast.value, forecast.log_half]

    return {
        "kind": step.kind,
        "recipe_index": step.recipe_index,
        "automatic": step.automatic,
        "told_whole": step.reports_whole,
        "duration_s": pair(duration_s),
        "it_energy_kwh": pair(it_energy_kwh),
    }


async def _factors(session: Session, pool: str, gpus: int, accelerators: Sequence[str]) -> Factors:
    """Current factors of the site of the pool's latest run."""
    site = await outcomes.site_of_pool(session, pool, gpus)
    hour = now().replace(minute=0, second=0, microsecond=0)
    current_factors = await _CURRENT.known(session)
    key = (site, tuple(accelerators), hour)
    if key not in current_factors:
        current_factors[key] = await site_factors.resolve(
            session,
            site=site,
            settings=get_settings(),
            accelerators=accelerators,
            hours=[hour.isoformat()],
            used_in_year=hour.year,
        )
    return current_factors[key]


def _cited(factors: Factors) -> Iterable[dict[str, Any]]:
    named = {
        "pue": factors.pue,
        "carbon_intensity": factors.carbon_intensity,
        "electricity_tariff": factors.electricity_tariff,
        "internal_price": factors.internal_price,
        "cloud_price_low": factors.cloud_price_low,
        "cloud_price_high": factors.cloud_price_high,
    }
    for name, factor in named.items():
        if factor is not None:
            yield {
                "name": name,
                "value": factor.value,
                "unit": factor.unit,
                "source": factor.source,
                "citation": factor.citation,
            }


async def _hardware(session: Session, pool: str) -> Hardware:
    nodes = await quote_rows.nodes_of_pool(session, pool)
    devices = [device for node in nodes for device in _devices(node)]
    names = tuple(dict.fromkeys(str(device["name"]) for device in devices))
    limits = [float(d["power_limit_w"]) for d in devices if d.get("power_limit_w")]
    try:
        peaks = {catalog.accelerator(name).peak_flops_per_s for name in names}
    except catalog.NotInCatalog:
        peaks = set()
    one_kind = len(peaks) == 1
    return Hardware(
        names,
        peaks.pop() if one_kind else None,
        max(limits) if one_kind and limits else None,
    )


def _devices(node: Node) -> list[Mapping[str, Any]]:
    return [device for device in node.devices if isinstance(device, Mapping) and "name" in device]


async def store(session: Session, run: Run, draft: QuoteDraft) -> None:
    """Stores a run's quote; its amounts count as reserved until the run has ended.

    Args:
        session: Committed by the caller.
        run: A run that is already inserted.
        draft: The quote from ``quote_for``.
    """
    quote = Quote(
        id=uuid.uuid4(),
        run_id=run.id,
        method=draft.method,
        content=draft.as_content(),
        facility_energy_kwh=draft.facility_energy_kwh.value,
        co2e_kg=draft.co2e_kg.value,
        cost=None if draft.cost.value is None else Decimal(str(draft.cost.value)),
        currency=draft.currency,
    )
    await quote_rows.add(session, quote)
