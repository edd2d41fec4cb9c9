"""Advances studies: starts and continues trials, and ends the study.

The next actions follow from the description and the record alone, under the study's lock, and
are stored with the runs that they post. So whoever calls this, and however often, and whatever
was interrupted: a trial never runs twice in a rung.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from app.db import Database, Session
from app.repositories.outage import OUTAGES
from app.repositories.studies import studies
from app.services.budgets.admission import BudgetExceededError
from app.services.errors import PricetagError
from app.services.live.events import EventHub
from app.services.people.tokens import lowest_role
from app.services.principals import RANK, Principal
from app.services.runs import posting
from app.services.studies import record, tpe
from app.services.studies.record import Limit, Record
from models import Study, StudyRun, StudyTrial
from pricetag.studies.decide import decide
from pricetag.studies.jobs import job_of
from pricetag.studies.parse import parse_study
from pricetag.studies.record import Action, Finish, Promote, Start
from pricetag.studies.spec import StudySpec

log = logging.getLogger("pricetag.server")

MOST_AT_ONCE = 10
"""Maximum number of runs that are posted in one transaction."""

MOST_NAMED = 10
"""Maximum number of metrics that the end of a study names."""

MOST_OF_REASON = 300
"""Maximum length of a reason that the end of a study quotes."""

ENDS = {
    "completed": ("finished", "all trials have ended"),
    "budget-reached": ("finished", "the study's budget admits no {further}trial"),
    "budget-exceeded": ("finished", "a budget of the lab admits no {further}trial"),
    "metric-not-reported": ("failed", "no trial has reported the metric '{metric}'{split}"),
    "all-trials-failed": ("failed", "every trial has failed"),
    "author-may-not-post": ("failed", "the author of the study may no longer submit runs"),
}
"""By the code of the reason: the status of the study, and the reason in words."""


async def advance(session: Session, study_id: UUID) -> bool:
    """Carries out the next actions of a study.

    Args:
        session: Committed by the caller.
        study_id: The study; nothing happens if it has ended.

    Returns:
        Whether there may be more to do at once.
    """
    study = await studies.lock(session, study_id)
    if study is None or study.status != "running":
        return False
    spec = parse_study(study.spec, is_stored=True)
    principal = await _author(session, study)
    study_record = await record.read(session, study.id, spec)
    if principal is None:
        if not any(run.state == "open" for run in study_record.runs):
            await _end(session, study, spec, "author-may-not-post")
        return False
    limits = await record.limits(session, spec, study_record)
    actions = decide(
        spec.plan,
        study_record.trials,
        goal=spec.metric.goal,
        parallel=spec.parallel,
        may_start=not any(limit.is_reached for limit in limits),
        suggest=tpe.suggester(spec.plan, spec.metric.goal),
    )
    return await _carry_out(session, study, spec, principal, study_record, actions)


async def _carry_out(
    session: Session,
    study: Study,
    spec: StudySpec,
    principal: Principal,
    study_record: Record,
    actions: list[Action],
) -> bool:
    has_open = any(run.state == "open" for run in study_record.runs)
    for place, action in enumerate(actions[:MOST_AT_ONCE]):
        if isinstance(action, Finish):
            limits = await record.limits(session, spec, study_record)
            await _end(session, study, spec, action.reason, limits)
            return False
        if await _waits(session, study, spec):
            return False
        refusal = await _post(session, study, spec, principal, study_record, action)
        if refusal is not None:
            # What is open may use less than it was quoted, so that there is room later.
            if not has_open and place == 0:
                has_run = bool(study_record.runs)
                await _end(session, study, spec, refusal[0], detail=refusal[1], has_run=has_run)
            return False
    return bool(actions)


async def _post(
    session: Session,
    study: Study,
    spec: StudySpec,
    principal: Principal,
    study_record: Record,
    action: Start | Promote,
) -> tuple[str, str] | None:
    """Posts the run of an action; returns code and reason if a budget does not admit it."""
    rung, previous = 0, None
    values = (
        action.values if isinstance(action, Start) else study_record.trials[action.number].values
    )
    if isinstance(action, Promote):
        rung = action.rung
        previous = study_record.run_of(action.number, rung - 1).run_id
    elif (parent := spec.plan.parent_of(action.number)) is not None:
        trained = study_record.run_of(parent, 0)
        if trained.state != "done":
            why = {"code": "invalid-upstream", "message": f"trial {parent} has trained no model"}
            await _store(session, study, action, rung, None, why)
            return None
        previous = trained.run_id
    body = job_of(spec, action.number, rung, values, study_id=study.id, previous_run=previous)
    run_id, failure = None, None
    savepoint = await session.begin_nested()
    try:
        run_id = (await posting.create(session, principal, body, None)).id
    except BudgetExceededError as error:
        await savepoint.rollback()
        return "budget-exceeded", error.message
    except PricetagError as error:
        await savepoint.rollback()
        failure = {"code": error.code, "message": error.message}
    await _store(session, study, action, rung, run_id, failure)
    if failure is not None:
        log.warning("study %s: trial %d: %s", study.id, action.number, failure["message"])
        return None
    beyond = await _beyond(session, study, spec)
    if beyond is not None:
        await savepoint.rollback()
        return "budget-reached", beyond
    await savepoint.commit()
    return None


async def _store(
    session: Session,
    study: Study,
    action: Start | Promote,
    rung: int,
    run_id: UUID | None,
    failure: dict[str, Any] | None,
) -> None:
    """Stores a new trial, and the run of an action, or why there is none."""
    if isinstance(action, Start):
        trial = StudyTrial(
            study_id=study.id,
            number=action.number,
            bracket=action.bracket,
            trial_values=dict(action.values),
        )
        await studies.add_trial(session, trial)
    run = StudyRun(
        study_id=study.id, trial=action.number, rung=rung, run_id=run_id, failure=failure
    )
    await studies.add_run(session, run)


async def _waits(session: Session, study: Study, spec: StudySpec) -> bool:
    """Whether the use of a first trial must be known before others start within the budget."""
    if spec.budget is None:
        return False
    so_far = await record.read(session, study.id, spec)
    return any(limit.waits for limit in await record.limits(session, spec, so_far))


async def _beyond(session: Session, study: Study, spec: StudySpec) -> str | None:
    """Why the quote of the run just posted does not fit into the study's budget."""
    if spec.budget is None:
        return None
    for limit in await record.limits(session, spec, await record.read(session, study.id, spec)):
        if limit.used + limit.reserved > limit.limit:
            return (
                f"{limit.limit:g} {limit.unit}, of which {limit.used:.4g} are used; the next trial "
                f"needs {limit.reserved:.4g}"
            )
    return None


async def _end(
    session: Session,
    study: Study,
    spec: StudySpec,
    code: str,
    limits: list[Limit] | None = None,
    detail: str | None = None,
    has_run: bool = True,
) -> None:
    status, message = ENDS[code]
    if code == "metric-not-reported":
        detail = await _reported_instead(session, study, spec)
    if code == "all-trials-failed":
        detail = await _common_failure(session, study, spec)
    split = f" of split '{spec.metric.split}'" if spec.metric.split else ""
    further = "further " if has_run else ""
    message = message.format(metric=spec.metric.name, split=split, further=further)
    reached = [limit for limit in limits or [] if limit.is_reached]
    if code == "budget-reached" and reached:
        message = "the study's budget is used up"
        detail = ", ".join(
            f"{limit.used:.4g} of {limit.limit:g} {limit.unit} used" for limit in reached
        )
    study.status = status
    study.status_reason = {"code": code, "message": f"{message}: {detail}" if detail else message}
    study.finished_at = datetime.now(UTC)
    await session.flush()
    log.info("study %s: %s (%s)", study.id, status, study.status_reason["message"])


async def _common_failure(session: Session, study: Study, spec: StudySpec) -> str | None:
    """The most frequent reason of the failed runs of a study, in a line."""
    runs = (await record.read(session, study.id, spec)).runs
    reasons = Counter(_in_a_line(run.reason) for run in runs if run.state == "failed")
    if not reasons:
        return None
    text, count = reasons.most_common(1)[0]
    return text if len(reasons) == 1 else f"{text} ({count} of {reasons.total()} runs)"


def _in_a_line(reason: Mapping[str, Any] | None) -> str:
    """The first and the last line of a reason."""
    lines = str((reason or {}).get("message") or "the reason is unknown").splitlines()
    text = lines[0] if len(lines) == 1 else f"{lines[0]} ... {lines[-1].strip()}"
    return text[:MOST_OF_REASON]


async def _reported_instead(session: Session, study: Study, spec: StudySpec) -> str | None:
    """What the runs of a study reported in place of its metric's values; None for nothing."""
    run_ids = [row.run_id for row in await studies.runs(session, study.id) if row.run_id]
    runs = await studies.reported(session, run_ids, spec.metric.split)
    if (unknown := runs.get(spec.metric.name)) is not None:
        noun = "run has" if unknown == 1 else "runs have"
        return f"{unknown} {noun} reported that its value is unknown"
    return f"reported are {', '.join(list(runs)[:MOST_NAMED])}" if runs else None


async def _author(session: Session, study: Study) -> Principal | None:
    """Who posts the study's runs: its author, with the limits of the token of that time."""
    row: Any = await studies.author(session, study)
    role = lowest_role(row.role, row.token_role, row.project_id)
    is_barred = row.disabled_at is not None or row.revoked_at is not None
    if is_barred or RANK[role] < RANK["member"]:
        return None
    return Principal(study.created_by, study.token_id, row.name, role, row.project_id)


async def advance_all(database: Database, run_ids: set[UUID] | None = None) -> None:
    """Advances the running studies, or those of some runs, each in its own transaction.

    The failure of one is logged and does not keep back the others.
    """
    async with database.session_scope() as session:
        due = await (
            studies.running(session) if run_ids is None else studies.of_runs(session, run_ids)
        )
    for study_id in due:
        try:
            has_more = True
            while has_more:
                async with database.session_scope() as session:
                    has_more = await advance(session, study_id)
        except OUTAGES:
            raise
        except Exception:
            log.exception("study %s could not be advanced", study_id)


class Watch:
    """Advances studies when their runs have news, and all of them from time to time.

    Args:
        database: Engine and sessions of this process.
        hub: Reports which runs have events.
        sweep_s: Longest time between two looks at all studies, in s.
    """

    def __init__(self, database: Database, hub: EventHub, sweep_s: float) -> None:
        self._database = database
        self._sweep_s = sweep_s
        self._changed: set[UUID] = set()
        self._is_all = True
        self._woken = asyncio.Event()
        hub.watchers.append(self._note)

    def _note(self, run_id: UUID | None) -> None:
        if run_id is None:
            self._is_all = True
        else:
            self._changed.add(run_id)
        self._woken.set()

    async def one_round(self) -> None:
        """Waits for news, or until the next look at all studies is due, and advances."""
        if not self._is_all and not self._changed:
            try:
                async with asyncio.timeout(self._sweep_s):
                    await self._woken.wait()
            except TimeoutError:
                self._is_all = True
        self._woken.clear()
        changed, self._changed = self._changed, set()
        is_all, self._is_all = self._is_all, False
        try:
            await advance_all(self._database, None if is_all else changed)
        except BaseException:
            self._is_all = True
            raise
