"""A study of the dashboard's test site, which has ended."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from app.db import Session
from app.repositories.people import projects
from app.services.attempts import execution
from app.services.studies.advancing import advance
from models import Run, Study, StudyRun
from pricetag.studies.parse import parse_study
from tests.support.api import run_body, study_body
from tests.support.executions import JournalMaker, claimed

STUDY = UUID("6f0c0d0e-0000-4000-8000-0000000057d1")


async def fill_studies(session: Session, created_by: UUID, name: str) -> None:
    """A successive halving of three trials, two of which stopped early."""
    strategy = {"kind": "successive_halving", "trials": 3, "eta": 3}
    body = study_body(base=run_body(project="search"), strategy=strategy, budget={"hours": 2})
    spec = parse_study({**body, "name": name})
    study = Study(
        id=STUDY,
        project_id=await projects.ensure_project(session, "search", created_by),
        experiment="sst2",
        name=name,
        spec=spec.model_dump(mode="json"),
        status="running",
        created_by=created_by,
        body_sha256="",
    )
    session.add(study)
    await session.flush()
    waiting = select(StudyRun).join(Run, Run.id == StudyRun.run_id)
    while True:
        is_ready = await advance(session, STUDY)
        rows = (await session.execute(waiting.where(Run.status == "queued"))).scalars().all()
        if not rows and not is_ready:
            return
        for row in rows:
            assert row.run_id is not None
            claim = await claimed(session, row.run_id)
            journal = JournalMaker(claim.attempt_id)
            journal.whole()
            await execution.ingest(session, claim.attempt_id, journal.records)
