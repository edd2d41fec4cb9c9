"""The variant of a paper's report for blind review, made again from blind price tags."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from app.db import Session
from app.reports.blind import PAPER_TITLE, Pseudonyms, blind_rows, blind_runs
from app.reports.blind_words import WITHHELD, remark
from app.reports.paper_context import About, paper_context
from app.repositories.papers import papers
from app.repositories.price_tags import reports as report_rows
from app.services.papers.collecting import Collected
from app.services.papers.reporting import plans_of, readable_runs
from models import Paper
from pricetag.accounting.document.canonical import hashed_text
from pricetag.studies.plan import Plan
from pricetag.tag.paper import PaperRun, selection_sha256

Content = Mapping[str, Any]


async def content(
    session: Session, paper: Paper, project: str, report: Content
) -> tuple[dict[str, Any], dict[str, str] | None]:
    """The content of the variant of a report, and of a frozen paper's its price tags.

    Args:
        session: Database session, only read.
        paper: The paper.
        project: Name of its project.
        report: Content of the report.

    Returns:
        The content, and for a frozen paper the text of each blind price tag, by its run's ID in
        the content.
    """
    stated = {uuid.UUID(run["run_id"]): run for run in report["paper"]["runs"]}
    facts = await papers.facts(session, list(stated))
    collected = [
        Collected(
            each,
            "frozen",
            stated[each.id]["purpose"],
            stated[each.id]["version"],
            stated[each.id]["sha256"],
        )
        for each in facts
    ]
    versions = {run_id: int(run["version"]) for run_id, run in stated.items()}
    documents = await report_rows.price_tags_of(session, versions)
    study_ids = {each.study_id for each in facts if each.study_id is not None}
    plans = await plans_of(session, study_ids)
    return await asyncio.to_thread(_content, paper, project, report, collected, documents, plans)


def _content(
    paper: Paper,
    project: str,
    report: Content,
    collected: Sequence[Collected],
    documents: Mapping[uuid.UUID, Content],
    plans: Mapping[uuid.UUID, Plan],
) -> tuple[dict[str, Any], dict[str, str] | None]:
    names = Pseudonyms()
    readable, _ = readable_runs(collected, documents, "", plans)
    runs = blind_runs(readable, names)
    is_frozen = paper.frozen_at is not None
    rows = blind_rows([each["entered"] for each in report["paper"].get("published") or ()])
    about = About(
        paper_id=str(uuid.uuid4()),
        title=PAPER_TITLE,
        authors=None,
        project=names.lettered("Project", project),
        rule=None if report["paper"]["rule"] is None else {"conditions": WITHHELD},
        frozen_at=report["paper"]["frozen_at"],
        selection_sha256=_selection(runs, rows) if is_frozen else None,
        not_counted=[
            {
                "run_id": names.run_id(each["run_id"]),
                "name": names.run(each["run_id"]),
                "reason": remark(each["reason"]),
            }
            for each in report["paper"]["not_counted"]
        ],
        budgets=[],
        origins=report["paper"].get("origins") or {},
        published=rows,
        ensembles=[
            {
                **each,
                "name": names.lettered("Study", each["name"]),
                "reason": each["reason"] and remark(each["reason"]),
            }
            for each in report["paper"].get("ensembles") or ()
        ],
    )
    blind_report = paper_context(
        about,
        report["profile"],
        runs,
        generated_at=datetime.fromisoformat(report["generated_at"]),
        with_equivalents=report["paper"]["equivalents"] is not None,
    )
    return blind_report, _texts(runs) if is_frozen else None


def _selection(runs: Sequence[PaperRun], rows: Sequence[Content]) -> str:
    tags = [(run.scored.tag.document, run.sha256) for run in runs]
    return selection_sha256([(tag.run_id, tag.version, sha256) for tag, sha256 in tags], rows)


def _texts(runs: Sequence[PaperRun]) -> dict[str, str]:
    tags = [(run.scored.tag.document, run.sha256) for run in runs]
    return {tag.run_id: hashed_text(tag.as_dict(), sha256) for tag, sha256 in tags}
