"""Chains of runs: finds the model of an earlier run, and sums the usage of a chain."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from app.db import Session
from app.repositories.price_tags import upstreams
from app.schemas.lineage import Cumulative, LineageRead, UpstreamModel, UpstreamRun
from app.services import access
from app.services.errors import InvalidError, RunNotFoundError
from app.services.principals import Principal
from models import RunUpstream
from pricetag.accounting.quantity.quantity import Quantity
from pricetag.accounting.quantity.together import sum_together
from pricetag.recipes import REGISTRY, FromRun, Recipe, traits_of
from pricetag.recipes.upstream import is_training_state

FIGURES = {"it_energy_kwh": "kWh", "facility_energy_kwh": "kWh", "co2e_kg": "kg", "cost": "money"}
LISTED = 10
"""Maximum number of models that an error lists."""

RUN_FIELD = "recipe.model.run"
STAGE_FIELD = "recipe.model.stage"


class InvalidUpstreamError(InvalidError):
    """The earlier run or its model cannot be used."""

    code = "invalid-upstream"


class _Model(NamedTuple):
    """A model that a run published, from its latest attempt."""

    stage: str
    kind: str
    folder: str
    sha256: str
    files: dict[str, str]


async def resolve(session: Session, principal: Principal, recipe: Recipe) -> RunUpstream | None:
    """The published model from which a recipe starts, to store with its run; None without one.

    Raises:
        InvalidUpstreamError: The run is unknown or hidden, it published no such model, or the
            model cannot be trained or compressed further.
    """
    source = recipe.model
    if not isinstance(source, FromRun):
        return None
    try:
        status = await access.require_run(session, principal, source.run)
    except RunNotFoundError as error:
        raise InvalidUpstreamError(error.message, field=RUN_FIELD) from error
    models = _models(await upstreams.published(session, source.run))
    model = _select(source, status, models)
    _check_final(recipe, model)
    return RunUpstream(
        upstream_run_id=source.run,
        stage=model.stage,
        kind=model.kind,
        folder=model.folder,
        sha256=model.sha256,
        files=model.files,
    )


def _models(rows: Sequence[Any]) -> dict[str, _Model]:
    """Models by the name of their stage; those of later attempts replace earlier ones.

    A model of which a file was removed is none; the state of its training may be removed alone.
    """
    folders: dict[tuple[int, str], list[Any]] = defaultdict(list)
    for row in rows:
        folders[row.number, str(PurePosixPath(row.path).parent)].append(row)
    models: dict[str, _Model] = {}
    for (_, folder), files in sorted(folders.items()):
        weights = next((row for row in files if row.is_weights), None)
        there = [row for row in files if not (row.is_removed and is_training_state(row.path))]
        if weights is not None and not any(row.is_removed for row in there):
            hashes = {PurePosixPath(row.path).name: row.sha256 for row in there}
            models[weights.stage] = _Model(
                weights.stage, weights.kind, folder, weights.sha256, hashes
            )
    return models


def _select(source: FromRun, status: str, models: Mapping[str, _Model]) -> _Model:
    names = ", ".join(f"'{name}'" for name in list(models)[:LISTED])
    if not models:
        raise InvalidUpstreamError(
            f"Run {source.run} has published no model that is still there (its status is "
            f"{status}).",
            field=RUN_FIELD,
        )
    if source.stage is not None:
        if source.stage not in models:
            raise InvalidUpstreamError(
                f"Run {source.run} has no published model of a stage '{source.stage}'; its "
                f"stages with a published model: {names}.",
                field=STAGE_FIELD,
            )
        return models[source.stage]
    if status != "succeeded":
        raise InvalidUpstreamError(
            f"Run {source.run} is {status}; select the stage of the model: {names}.",
            field=RUN_FIELD,
        )
    if len(models) > 1:
        raise InvalidUpstreamError(
            f"Run {source.run} has published several models; select the stage: {names}.",
            field=STAGE_FIELD,
        )
    return next(iter(models.values()))


def _check_final(recipe: Recipe, model: _Model) -> None:
    entry = REGISTRY.get(model.kind)
    if entry is None or entry.traits.final is None:
        return
    for index, stage in enumerate(recipe.stages):
        traits = traits_of(stage)
        if traits.trains or traits.makes_model:
            field = f"recipe.stages.{index}.kind"
            raise InvalidUpstreamError(
                f"'{stage.stage_kind()}' cannot follow {model.kind}: {entry.traits.final}.",
                field=field,
            )


async def keep(session: Session, run_id: uuid.UUID, upstream: RunUpstream | None) -> None:
    """Stores the result of ``resolve`` for a run that is already inserted.

    Raises:
        InvalidUpstreamError: The model was removed since then.
    """
    if upstream is None:
        return
    upstream.run_id = run_id
    await upstreams.add(session, upstream)
    # From here on its content stays; until here, it may have been removed.
    models = _models(await upstreams.published(session, upstream.upstream_run_id))
    if upstream.files not in [m.files for m in models.values() if m.folder == upstream.folder]:
        raise InvalidUpstreamError(
            f"The model of run {upstream.upstream_run_id} was removed to save space.",
            field=RUN_FIELD,
        )


async def model_of(session: Session, run_id: uuid.UUID) -> dict[str, Any] | None:
    """Location and hashes of the published model that a run's worker must use."""
    rows = await upstreams.of_run(session, run_id)
    if not rows:
        return None
    row = rows[0]
    return {
        "run_id": str(row.upstream_run_id),
        "stage": row.stage,
        "folder": row.folder,
        "files": row.files,
    }


async def of_run(session: Session, principal: Principal, run_id: uuid.UUID) -> LineageRead | None:
    """The origin of a run's model and the usage of the whole chain; None without a chain.

    Runs in private projects of others are only counted; the sums are then unknown.
    """
    models = await upstreams.of_run(session, run_id)
    if not models:
        return None
    chain = await _upstream_of(session, run_id)
    visible = await access.visible_runs(session, principal, chain)
    order = [upstream_id for upstream_id in chain if upstream_id in visible]
    totals = await upstreams.newest_totals(session, [run_id, *order])
    about = {row.id: row for row in await upstreams.named(session, [run_id, *order])}
    figures = {id_: _figures(totals.get(id_), about[id_].status) for id_ in [run_id, *order]}
    shared = await upstreams.shared_by(session, order)
    hidden = len(chain) - len(order)
    return LineageRead(
        models=[
            UpstreamModel(
                run_id=row.upstream_run_id, stage=row.stage, kind=row.kind, sha256=row.sha256
            )
            for row in models
        ],
        upstream=[
            UpstreamRun.model_validate(
                {
                    "run_id": id_,
                    "name": about[id_].name,
                    "project": about[id_].project,
                    "status": about[id_].status,
                    "shared_by": shared[id_],
                    "price_tag_version": totals[id_]["version"] if id_ in totals else None,
                    **{name: figure.as_dict() for name, figure in figures[id_].items()},
                }
            )
            for id_ in order
        ],
        upstream_hidden=hidden,
        cumulative=Cumulative.model_validate(
            {name: _sum(figures, name, hidden).as_dict() for name in FIGURES}
        ),
    )


def _sum(figures: Mapping[uuid.UUID, Mapping[str, Quantity]], name: str, hidden: int) -> Quantity:
    if hidden:
        reason = f"{hidden} of the upstream runs are in other users' private projects"
        return Quantity.unknown(FIGURES[name], reason)
    return sum_together({f"run {id_}": figures[id_][name] for id_ in figures}, FIGURES[name])


async def _upstream_of(session: Session, run_id: uuid.UUID) -> list[uuid.UUID]:
    """All upstream runs, each once, nearest first.

    A run must exist before another can refer to it, so there are no cycles.
    """
    order: dict[uuid.UUID, None] = {}
    level = [run_id]
    while level:
        links = await upstreams.links(session, level)
        level = [up for up in dict.fromkeys(up for _, up in links) if up not in order]
        order |= dict.fromkeys(level)
    return list(order)


def _figures(totals: Mapping[str, Any] | None, status: str) -> dict[str, Quantity]:
    if totals is None:
        reason = f"there is no price tag yet (the run is {status})"
        return {name: Quantity.unknown(unit, reason) for name, unit in FIGURES.items()}
    return {name: _figure(totals[name], unit) for name, unit in FIGURES.items()}


def _figure(stored: Mapping[str, Any] | None, unit: str) -> Quantity:
    if stored is None:
        return Quantity.unknown(unit, "this version of the price tag has no such figure")
    if stored["value"] is None:
        return Quantity.unknown(stored["unit"], stored.get("reason") or "unknown")
    return Quantity(
        stored["value"], stored["low"], stored["high"], stored["unit"], stored["source"]
    )
