"""Runs for the pages of insights: some with several scores, one that compressed its model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import select, update

from app.db import Session
from app.repositories.people import projects
from app.services.attempts import execution
from models import Run, Study, StudyRun, StudyTrial, User
from tests.support.executions import JournalMaker, claimed, make_run

SCORED = (
    ("cheap", 40.0, 0.81, ["method:distill", "seed:1"]),
    ("middle", 90.0, 0.84, ["method:distill", "seed:2"]),
    ("dear", 220.0, 0.88, ["method:prune", "seed:1"]),
    ("beaten", 250.0, 0.83, ["method:prune", "seed:2"]),
    ("again", 120.0, 0.82, ["method:distill", "seed:3"]),
    ("last", 260.0, 0.86, ["method:prune", "seed:3"]),
)
"""Name, power of the GPU in W, accuracy and tags of runs of a sweep."""


TRIALS = {
    method: [uuid5(NAMESPACE_URL, f"{method} {number}") for number in range(6)] for method in "ab"
}
"""IDs of the runs of `trials`, by method."""


async def scored_run(
    session: Session, accuracy: float | None, *, gpu_w: float = 100.0, **values: Any
) -> UUID:
    """A run of ten seconds with an accuracy; without one it failed."""
    run = await make_run(session, **values)
    claim = await claimed(session, run.id)
    journal = JournalMaker(claim.attempt_id)
    journal.start()
    journal.read(0.0, gpu_w=gpu_w)
    journal.add("environment", 0.0, packages={"torch": "2.13.0"}, python="3.11", seeds={})
    begin_stage(journal, "0", 0, 0.0, "train")
    for second in range(1, 11):
        journal.read(float(second), gpu_w=gpu_w)
    if accuracy is not None:
        score(journal, 10.0, "0", accuracy)
    status = "failed" if accuracy is None else "succeeded"
    journal.add("stage_end", 10.0, key="0", status=status)
    reason = {"code": "exit-status", "message": "ended with status 1"}
    journal.add("end", 10.0, status=status, reason=None if accuracy else reason)
    await execution.ingest(session, claim.attempt_id, journal.records)
    return run.id


async def moved(session: Session, run_ids: Sequence[UUID], project: str) -> None:
    """Moves runs to one project."""
    project_id = await projects.ensure_project(session, project)
    experiment_id = await projects.ensure_experiment(session, project_id, "experiment")
    place = {"project_id": project_id, "experiment_id": experiment_id}
    await session.execute(update(Run).where(Run.id.in_(run_ids)).values(**place))


async def one_trial(session: Session, run_ids: Sequence[UUID]) -> None:
    """Makes runs the rungs of one trial of a study, in order."""
    run = await session.get_one(Run, run_ids[-1])
    study = Study(
        project_id=run.project_id,
        experiment="experiment",
        name="a study",
        spec={},
        status="finished",
        created_by=(await session.execute(select(User.id).limit(1))).scalar_one(),
        body_sha256="",
    )
    session.add(study)
    await session.flush()
    session.add(StudyTrial(study_id=study.id, number=0, bracket=0, trial_values={}))
    await session.flush()
    for rung, run_id in enumerate(run_ids):
        session.add(StudyRun(study_id=study.id, trial=0, rung=rung, run_id=run_id))
    await session.flush()


async def sweep(session: Session, project: str = "sweep", **values: Any) -> list[UUID]:
    """The runs of ``SCORED``, and one that failed, in one project."""
    made = [
        await scored_run(session, accuracy, gpu_w=gpu_w, name=name, tags=tags, **values)
        for name, gpu_w, accuracy, tags in SCORED
    ]
    failed = await scored_run(session, None, name="failed", tags=["method:prune"], **values)
    await moved(session, [*made, failed], project)
    return [*made, failed]


async def trials(session: Session, project: str = "trials", **values: Any) -> list[UUID]:
    """Six trials of two methods: the more expensive one of `method:b` has the better scores."""
    made = [
        await scored_run(
            session,
            accuracy,
            gpu_w=gpu_w,
            name=f"{method} {number}",
            tags=[f"method:{method}"],
            id=TRIALS[method][number],
            **values,
        )
        for method, gpu_w, best in (("a", 50.0, 0.80), ("b", 150.0, 0.84))
        for number, accuracy in enumerate(best - 0.01 * n for n in range(6))
    ]
    await moved(session, made, project)
    return made


async def compressed_run(session: Session, **values: Any) -> UUID:
    """A run that measured its model, quantized it, and measured it again."""
    run = await make_run(session, **values)
    claim = await claimed(session, run.id)
    journal = JournalMaker(claim.attempt_id)
    journal.start()
    journal.read(0.0)
    journal.add("environment", 0.0, packages={"torch": "2.13.0"}, python="3.11", seeds={})
    at_s = 0.0
    for index, (kind, length_s, count, accuracy, size) in enumerate(
        (
            ("train", 20.0, 0, None, 0),
            ("measure", 10.0, 4_000, 0.861, 90_000_000),
            ("quantize", 5.0, 0, None, 0),
            ("measure", 10.0, 10_000, 0.858, 23_000_000),
        )
    ):
        _stage(journal, str(index), index, at_s, length_s, kind)
        if count:
            journal.add(
                "metric", at_s + 9.5, key=f"{index}.0", name="inferences", value=count, quality=True
            )
            journal.add("stage_end", at_s + 9.5, key=f"{index}.0", status="succeeded")
            score(journal, at_s + length_s, str(index), accuracy or 0.0)
            journal.add(
                "metric",
                at_s + length_s,
                key=str(index),
                name="model_bytes",
                value=size,
                quality=True,
                unit="bytes",
            )
        at_s += length_s
        journal.add("stage_end", at_s, key=str(index), status="succeeded")
    journal.add("end", at_s, status="succeeded", reason=None)
    await execution.ingest(session, claim.attempt_id, journal.records)
    return run.id


def _stage(
    journal: JournalMaker, key: str, index: int, start_s: float, length_s: float, kind: str
) -> None:
    """A stage up to its end; one that measures has the inferences as its own stage."""
    begin_stage(journal, key, index, start_s, kind)
    for second in range(1, int(length_s) + 1):
        if kind == "measure" and second == 1:
            begin_stage(journal, f"{key}.0", index, start_s + 0.5, "inference", parent=key)
        if kind == "measure" and second == length_s:
            journal.read(start_s + 9.5)
        journal.read(start_s + second)


def begin_stage(
    journal: JournalMaker, key: str, index: int, at_s: float, kind: str, parent: str | None = None
) -> None:
    """The start of a stage."""
    journal.add(
        "stage_start",
        at_s,
        key=key,
        index=index,
        parent_key=parent,
        recipe_index=index,
        kind=kind,
        name=kind,
    )


def score(journal: JournalMaker, at_s: float, key: str, accuracy: float) -> None:
    """An accuracy on the validation split."""
    journal.add(
        "metric", at_s, key=key, name="accuracy", value=accuracy, split="validation", quality=True
    )
