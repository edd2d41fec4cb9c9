"""Comparison of runs by their latest price tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.db import Session
from app.repositories.price_tags import reports, upstreams
from app.schemas.common import FieldProblem
from app.services import access
from app.services.billing.documents import PriceTagUnreadableError, tag_view
from app.services.errors import InvalidError
from app.services.principals import Principal
from pricetag.accounting.quantity.quantity import Source, weakest
from pricetag.accounting.work.matching import USUAL_SEEDS
from pricetag.recipes.differences import differences, differing
from pricetag.tag.figure import Figure
from pricetag.tag.matches import compared_quality
from pricetag.tag.origins import HASH_CHARACTERS, origin_differences
from pricetag.tag.ratios import Metric, compare
from pricetag.tag.verdicts import verdict
from pricetag.tag.view import TagView

MOST = 50
"""Maximum number of runs in one group."""

MOST_IN_ALL = 100
"""Maximum number of runs in all groups."""

LETTERS = "abcdefgh"
"""Letters of the groups."""


class NothingToCompareError(InvalidError):
    """The runs cannot be compared; the error lists every reason."""

    code = "nothing-to-compare"

    def __init__(self, errors: list[FieldProblem]) -> None:
        super().__init__(f"{errors[0].field}: {errors[0].message}", field=errors[0].field)
        self.errors = errors


def parse_runs(field: str, text: str) -> list[UUID]:
    """Parses run ids that are separated by commas.

    Raises:
        NothingToCompareError: If a part is not a run ID, or there are too many.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > MOST:
        raise NothingToCompareError([FieldProblem(field=field, message=f"at most {MOST} runs")])
    run_ids: list[UUID] = []
    for index, part in enumerate(parts):
        try:
            run_ids.append(UUID(part))
        except ValueError:
            problem = FieldProblem(
                field=f"{field}.{index}",
                message=f"{part[:60]!r} is not a run ID",
                hint="run IDs, separated by commas",
            )
            raise NothingToCompareError([problem]) from None
    return run_ids


@dataclass(frozen=True)
class Groups:
    """Runs of a comparison with their price tags and recipes.

    Attributes:
        runs: Runs of each group, by letter.
        tags: Their latest price tags.
        recipes: Their recipes.
        weights: Hashes of the models of earlier runs that they started from.
        projects: Names of their projects.
    """

    runs: Mapping[str, Sequence[UUID]]
    tags: Mapping[UUID, TagView]
    recipes: Mapping[UUID, Mapping[str, Any]]
    weights: Mapping[UUID, Mapping[str, str]]
    projects: frozenset[str]

    def of(self, letter: str) -> list[TagView]:
        """The price tags of a group."""
        return [self.tags[run_id] for run_id in self.runs[letter]]

    def against(
        self, letter: str, reference: str, metric: Metric, seeds: int = USUAL_SEEDS
    ) -> dict[str, Any]:
        """A group against another one: ratio with verdict, quality over seeds, differences.

        Args:
            letter: The group.
            reference: The group that it is divided by.
            metric: Figure to compare.
            seeds: Number of seeds for a verdict on the quality.
        """
        sides = self.of(letter), self.of(reference)
        recipes = [[self.recipes[i] for i in self.runs[side]] for side in (letter, reference)]
        weights = [[self.weights[i] for i in self.runs[side]] for side in (letter, reference)]
        work = differences(*recipes) + differing(["model.sha256"], weights)
        work += origin_differences(*sides)
        ratio = compare(*sides, metric)
        quality = compared_quality(*sides, (recipes[0], recipes[1]), seeds)
        return (
            ratio
            | quality
            | {
                "differences": [_named(line, letter, reference) for line in work],
                "verdict": verdict(metric, ratio["ratio"], letter, reference),
            }
        )

    def stages(self) -> list[dict[str, Any]]:
        """Mean IT energy of each stage in each group; runs without the stage count as 0.

        Stages are the same if they have the same place and kind. Where the energy of a stage is
        unknown in one run, it is unknown in the group.
        """
        places: dict[tuple[int, str], None] = {}
        for tag in self.tags.values():
            for stage in tag.document.stages:
                if stage.parent is None:
                    places[stage.index, stage.kind] = None
        return [
            {
                "index": index,
                "kind": kind,
                "means": {
                    letter: _stage_mean(self.of(letter), index, kind).as_dict()
                    for letter in self.runs
                },
            }
            for index, kind in sorted(places)
        ]


def _stage_mean(tags: Sequence[TagView], index: int, kind: str) -> Figure:
    """Mean IT energy of a stage over runs and all their attempts, with the ends of intervals."""
    value = low = high = 0.0
    sources: list[Source] = []
    for tag in tags:
        for stage in tag.document.stages:
            energy = stage.energy.it_energy_kwh
            if stage.parent is not None or (stage.index, stage.kind) != (index, kind):
                continue
            if stage.status == "reused":
                continue
            if energy.value is None:
                return Figure.unknown(f"{tag.name}: {energy.reason}", "kWh")
            value += energy.value
            low += energy.value if energy.low is None else energy.low
            high += energy.value if energy.high is None else energy.high
            sources += [energy.source] if energy.source else []
    if not sources:
        return Figure.unknown("no run of the group has this stage", "kWh")
    count = len(tags)
    return Figure(value / count, low / count, high / count, "kWh", weakest(*sources))


def _named(line: str, letter: str, reference: str) -> str:
    """A line about groups a and b with the letters of these groups."""
    head, mark, tail = line.rpartition(" (a), ")
    if not mark or not tail.endswith(" (b)"):
        return line
    return f"{head} ({letter}), {tail.removesuffix(' (b)')} ({reference})"


async def read_groups(
    session: Session, principal: Principal, runs: Mapping[str, Sequence[UUID]]
) -> Groups:
    """The price tags and recipes of groups of runs.

    Args:
        session: Database session, only read.
        principal: The caller; runs hidden from them count as unknown.
        runs: Runs of each group, by letter: repetitions of one piece of work.

    Raises:
        NothingToCompareError: If a run is unknown, has no price tag, or is listed twice, or if
            there are too many.
    """
    _require_distinct(runs)
    all_ids = [run_id for ids in runs.values() for run_id in ids]
    if len(all_ids) > MOST_IN_ALL:
        message = f"at most {MOST_IN_ALL} runs in all groups (got {len(all_ids)})"
        raise NothingToCompareError([FieldProblem(field=next(iter(runs)), message=message)])
    newest = await reports.newest_price_tags(session, principal.viewer, all_ids)
    missing = [run_id for run_id in all_ids if run_id not in newest]
    existing = await access.visible_runs(session, principal, missing) if missing else set()
    errors = [
        FieldProblem(
            field=f"{letter}.{index}",
            message=f"run {run_id} has no price tag yet"
            if run_id in existing
            else f"run {run_id} not found: it does not exist or is hidden from you",
            hint="the ID of a run with at least one ended attempt",
        )
        for letter, ids in runs.items()
        for index, run_id in enumerate(ids)
        if run_id not in newest
    ]
    if errors:
        raise NothingToCompareError(errors)
    weights: dict[UUID, dict[str, str]] = {run_id: {} for run_id in all_ids}
    # Models of earlier runs that have other weights: a resumed run publishes again.
    for row in await upstreams.weights(session, all_ids):
        weights[row.run_id]["model.sha256"] = row.sha256[:HASH_CHARACTERS]
    return Groups(
        runs=runs,
        tags=_views(runs, newest),
        recipes=await reports.recipes_of(session, all_ids),
        weights=weights,
        projects=frozenset(await reports.projects_of(session, all_ids)),
    )


def _views(
    runs: Mapping[str, Sequence[UUID]], newest: Mapping[UUID, Mapping[str, Any]]
) -> dict[UUID, TagView]:
    views, errors = {}, []
    for letter, ids in runs.items():
        for index, run_id in enumerate(ids):
            try:
                views[run_id] = tag_view(newest[run_id])
            except PriceTagUnreadableError as error:
                message = f"run {run_id}: {error.message}"
                hint = "the ID of another run"
                errors.append(FieldProblem(field=f"{letter}.{index}", message=message, hint=hint))
    if errors:
        raise NothingToCompareError(errors)
    return views


async def compare_runs(
    session: Session,
    principal: Principal,
    runs: Mapping[str, Sequence[UUID]],
    metric: Metric,
    seeds: int = USUAL_SEEDS,
) -> dict[str, Any]:
    """The ratio of the mean figures of groups of runs to group b, and their quality over seeds.

    Args:
        session: Database session, only read.
        principal: The caller; runs hidden from them count as unknown.
        runs: Runs of each group, by letter, with `a` and `b`.
        metric: Figure to compare.
        seeds: Number of seeds for a verdict on the quality.

    Raises:
        NothingToCompareError: As for `read_groups`.
    """
    groups = await read_groups(session, principal, runs)
    others = [
        {"group": letter, **_as_group(groups.against(letter, "b", metric, seeds))}
        for letter in runs
        if letter not in ("a", "b")
    ]
    main = groups.against("a", "b", metric, seeds)
    return main | {"others": others, "stages": groups.stages()}


def _as_group(compared: Mapping[str, Any]) -> dict[str, Any]:
    names = ("ratio", "method", "degrees_of_freedom", "cancels", "reasons", "notes")
    fields = {name: compared[name] for name in (*names, "quality", "differences", "verdict")}
    return {"side": compared["a"], **fields}


def _require_distinct(runs: Mapping[str, Sequence[UUID]]) -> None:
    listed: dict[UUID, str] = {}
    for letter, ids in runs.items():
        for index, run_id in enumerate(ids):
            if run_id in listed:
                both = len(runs) == 2
                problem = (
                    "is listed twice"
                    if listed[run_id] == letter
                    else "is in both groups"
                    if both
                    else f"is in group {listed[run_id]}, too"
                )
                message = f"Run {run_id} {problem}; list each run once."
                raise NothingToCompareError(
                    [FieldProblem(field=f"{letter}.{index}", message=message)]
                )
            listed[run_id] = letter
