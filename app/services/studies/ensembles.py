"""Ensembles of the trials of a study: accuracy and cost against the number of members."""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.db import Session
from app.repositories.studies import studies
from app.schemas.studies import EnsemblePointRead, EnsembleRead
from app.services.errors import PricetagError
from app.services.runs import series
from app.services.runs.artifact_files import ArtifactFiles
from app.services.studies import record
from app.services.studies.record import NOT_ISSUED, StudyRunRow
from app.settings import get_settings
from pricetag.accounting.quantity.quantity import Quantity
from pricetag.accounting.quantity.together import sum_together
from pricetag.studies.ensemble import (
    FILE,
    SPLIT,
    EnsemblePoint,
    Estimator,
    Member,
    ensemble_curve,
    estimator_of,
)
from pricetag.studies.jobs import keeps_probabilities
from pricetag.studies.parse import parse_study
from pricetag.studies.spec import StudySpec
from pricetag.studies.strategies import Ensemble

MOST_BYTES = 64 * 2**20
"""Maximum size of the class probabilities of a member."""

NO_FILE = "its run kept no class probabilities of the validation split"
NO_EVALUATION = "no stage of the run that evaluated has a known energy"
IN_ORDER = "no range: one ensemble, of the first seeds in their order"

Kept = tuple[Path, str]
"""The file with the class probabilities of a member, and its hash."""


async def of_study(
    session: Session,
    spec: StudySpec,
    runs: Sequence[StudyRunRow],
    price_tags: Mapping[uuid.UUID, Mapping[str, Any]] | None = None,
) -> EnsembleRead | None:
    """Ensembles of the trials that have succeeded; None for other strategies.

    Args:
        session: Database session, only read.
        spec: The study.
        runs: Its runs.
        price_tags: The price tags that count; None for the newest of each run.
    """
    if not isinstance(spec.strategy, Ensemble):
        return None
    kept: dict[uuid.UUID, Kept] = {}
    missing: dict[str, int] = {}
    for run in runs:
        if run.state != "done" or run.run_id is None:
            continue
        try:
            kept[run.run_id] = await _kept(session, run.run_id)
        except (PricetagError, LookupError) as error:
            reason = error.message if isinstance(error, PricetagError) else NO_FILE
            missing[reason] = missing.get(reason, 0) + 1
    examples: int | None = None
    points: list[EnsemblePoint] = []
    try:
        examples, points = await asyncio.to_thread(_curve, tuple(kept.values()))
    except (OSError, ValueError) as error:
        missing[f"the class probabilities cannot be averaged: {error}"] = len(kept)
    documents = price_tags
    if documents is None:
        documents = await studies.newest_documents(session, list(kept)) if points else {}
    estimator = estimator_of(len(kept))
    making = [_whole(documents.get(run_id)) for run_id in kept]
    inference = [_evaluating(documents.get(run_id)) for run_id in kept]
    return EnsembleRead(
        estimator=estimator,
        split=SPLIT,
        examples=examples,
        members=len(kept),
        points=[_point(point, estimator, making, inference) for point in points],
        reason=_reason(missing, bool(kept)),
    )


async def _kept(session: Session, run_id: uuid.UUID) -> Kept:
    """The newest class probabilities of a run.

    Raises:
        LookupError: If it kept none.
        ArtifactNotHereError: If the file is not on the server's machine.
    """
    name = FILE.format(split=SPLIT)
    listed = await series.artifacts(session, run_id)
    described = [each for each in listed.items if each.name.rpartition("/")[2] == name][-1]
    if described.size_bytes > MOST_BYTES:
        raise LookupError(name)
    files = ArtifactFiles(get_settings())
    return await asyncio.to_thread(files.path, described), described.sha256


@lru_cache(maxsize=8)
def _curve(kept: tuple[Kept, ...]) -> tuple[int | None, list[EnsemblePoint]]:
    """Number of examples, and the curve; the files of a run never change.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If one is not what its run reported, or they do not fit together.
    """
    members = [_member(*each) for each in kept]
    return (len(members[0].labels) if members else None), ensemble_curve(members)


def _member(file: Path, sha256: str) -> Member:
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"{file.name} was changed after its run")
    return Member.read(json.loads(content))


def _point(
    point: EnsemblePoint,
    estimator: Estimator,
    making: Sequence[Quantity],
    inference: Sequence[Quantity],
) -> EnsemblePointRead:
    is_range = estimator == "all_subsets"
    accuracy = {
        "value": point.accuracy,
        "low": point.low if is_range else None,
        "high": point.high if is_range else None,
        "unit": "1",
        "source": "counter",
        "reason": None if is_range else IN_ORDER,
    }
    return EnsemblePointRead.model_validate(
        {
            "members": point.members,
            "ensembles": point.ensembles,
            "accuracy": accuracy,
            "making_kwh": _times(making, point.members, estimator).as_dict(),
            "inference_kwh": _times(inference, point.members, estimator).as_dict(),
        }
    )


def _times(parts: Sequence[Quantity], members: int, estimator: Estimator) -> Quantity:
    """What k members cost: k times the mean, or the sum over the first k."""
    chosen = parts if estimator == "all_subsets" else parts[:members]
    whole = sum_together({f"member {n}": part for n, part in enumerate(chosen)}, "kWh")
    if whole.value is None or whole.low is None or whole.high is None or members == len(chosen):
        return whole
    share = members / len(chosen)
    low, high = share * whole.low, share * whole.high
    return Quantity(share * whole.value, low, high, whole.unit, whole.source)


def _whole(document: Mapping[str, Any] | None) -> Quantity:
    """IT energy of a run."""
    return _energy(None if document is None else document["it_energy_kwh"], NOT_ISSUED)


def _evaluating(document: Mapping[str, Any] | None) -> Quantity:
    """Energy of the last evaluation of a run."""
    if document is None:
        return Quantity.unknown("kWh", NOT_ISSUED)
    stages = [s for s in document.get("stages") or [] if keeps_probabilities(str(s.get("kind")))]
    spent = [each["it_energy_kwh"] for each in stages if each.get("status") == "succeeded"]
    return _energy(spent[-1] if spent else None, NO_EVALUATION)


def _energy(stated: Mapping[str, Any] | None, reason: str) -> Quantity:
    if stated is None or stated["value"] is None:
        return Quantity.unknown("kWh", (stated or {}).get("reason") or reason)
    ends = (stated["value"], stated["low"], stated["high"])
    return Quantity(*ends, stated["unit"], stated["source"])


async def of_runs(
    session: Session,
    run_ids: Mapping[uuid.UUID, set[uuid.UUID]],
    price_tags: Mapping[uuid.UUID, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Ensembles of the members among some runs, with the name of the study.

    Args:
        session: Database session, only read.
        run_ids: The runs, by study.
        price_tags: The price tags that count.
    """
    stated: list[dict[str, Any]] = []
    for study in await studies.described(session, list(run_ids)):
        if study.spec.get("strategy", {}).get("kind") != "ensemble":
            continue
        spec = parse_study(study.spec, is_stored=True)
        rows = (await record.read(session, study.id, spec)).runs
        own = [row for row in rows if row.run_id in run_ids[study.id]]
        if (read := await of_study(session, spec, own, price_tags)) is not None:
            stated.append({"name": study.name, **read.model_dump(mode="json")})
    return stated


def _reason(missing: Mapping[str, int], has_members: bool) -> str | None:
    if missing:
        return "; ".join(f"{count} without: {reason}" for reason, count in missing.items())
    return None if has_members else "no trial has succeeded yet"
