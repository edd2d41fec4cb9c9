"""What the best result of several runs cost: its model, its tuning, all runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from app.db import Session
from app.schemas.insights import (
    BestModelRead,
    EquivalentRead,
    GreenAiRead,
    ResearchCostRead,
    ResearchPartRead,
)
from app.services.insights.reading import is_wanted, shown_kind
from app.services.insights.trials import Trial, Trials, newest_trials
from app.services.principals import Principal
from app.services.runs.listing import RunFilter
from pricetag.tag.evaluated import Evaluated, ScoredRun, kinds
from pricetag.tag.research import (
    NO_BEST,
    Ended,
    GreenAi,
    ResearchPart,
    best_run,
    equivalents,
    green_ai,
    research_parts,
)


async def research_cost(
    session: Session,
    by: Principal,
    filters: RunFilter,
    *,
    wanted: Mapping[str, str | None],
    with_equivalents: bool,
    limit: int,
) -> ResearchCostRead:
    """What the best of the newest selected runs cost, with its tuning and with all runs.

    The runs of its method are those with the same stage kinds. The rungs of a trial of a study
    are one model.

    Args:
        session: Database session, only read.
        by: The caller.
        filters: Filters of the runs.
        wanted: Wanted metric, split, task and data of the score; where None, those that most
            runs have.
        with_equivalents: Whether emissions are compared with well-known ones.
        limit: Maximum number of runs.

    Raises:
        NotFoundError: If the project or experiment does not exist, or is hidden from the caller.
    """
    newest = await newest_trials(session, by, filters, limit)
    scored = [trial.scored for trial in reversed(newest.items)]  # the newest of equal ones is best
    all_kinds = kinds(scored)
    kind = next((each for each, _ in all_kinds if is_wanted(each, wanted)), None)
    best = best_run(scored, kind)
    shown = {each: shown_kind(each, count) for each, count in all_kinds}
    read = ResearchCostRead(
        kind=None if kind is None else shown[kind],
        kinds=list(shown.values()),
        model=None,
        reason=NO_BEST,
        parts=[],
        green_ai=None,
        equivalents=None,
        **newest.about,
    )
    if best is None or kind is None:
        return read
    return read.model_copy(update=_about(newest, best, kind, with_equivalents))


def _about(
    newest: Trials, best: ScoredRun, kind: Evaluated, with_equivalents: bool
) -> Mapping[str, object]:
    """The members of the response that are about the best model."""
    own = next(trial for trial in newest.items if trial.scored is best)
    run = own.run
    tuning = [trial for trial in newest.items if trial.method == own.method]
    model = [*own.trained, *own.ended]
    parts = research_parts(model, _ended(tuning), _ended(newest.items), incomplete=best.incomplete)
    emitted = parts[-1].costs["co2e_kg"]
    return {
        "model": BestModelRead(
            run_id=run.id,
            name=run.name,
            project=run.project,
            status=run.status,
            version=best.tag.document.version,
            method=own.method,
            quality=best.scores[kind],
        ),
        "reason": None,
        "parts": [_part(part) for part in parts],
        "green_ai": _green_ai(green_ai(best.tag, len(tuning))),
        "equivalents": [
            EquivalentRead.model_validate(asdict(each)) for each in equivalents(emitted)
        ]
        if with_equivalents
        else None,
    }


def _ended(trials: Sequence[Trial]) -> list[Ended]:
    """The runs of trials, with those that trained what they compress, each once."""
    runs = [each for trial in trials for each in (*trial.trained, *trial.ended)]
    return list({view.document.run_id: (view, status) for view, status in runs}.values())


def _part(part: ResearchPart) -> ResearchPartRead:
    return ResearchPartRead(
        name=part.name,
        runs=part.runs,
        unsuccessful=part.unsuccessful,
        costs={name: figure.as_dict() for name, figure in part.costs.items()},
    )


def _green_ai(factors: GreenAi) -> GreenAiRead:
    return GreenAiRead.model_validate(asdict(factors))
