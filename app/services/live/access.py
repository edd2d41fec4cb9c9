"""Access to live pages: the projects that a reader may see now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from app.db import Session
from app.repositories.runs import live as live_rows
from app.services.live.event_news import still_present
from app.services.principals import Principal


@dataclass(frozen=True, slots=True)
class Audience:
    """Readers who see the same projects.

    Attributes:
        is_everything: Whether they see all projects, including future ones.
        only: The only project that their token may see.
        projects: The visible projects, if not all are visible.
    """

    is_everything: bool
    only: UUID | None
    projects: frozenset[UUID] = frozenset()

    def sees(self, project_id: UUID | None) -> bool:
        """Whether they see a project; a project that became visible later does not count."""
        if self.only is not None and project_id != self.only:
            return False
        return self.is_everything or project_id in self.projects


async def audiences(
    session: Session, asked: Collection[Principal]
) -> Mapping[Principal, Audience | None]:
    """The present audience of each principal; None for one without access.

    Equal audiences are one object.
    """
    present = await still_present(session, asked)
    visible = await live_rows.open_projects(session)
    users = {principal.user_id for principal in asked}
    member_of: dict[UUID, set[UUID]] = defaultdict(set)
    for user_id, project_id in await live_rows.memberships(session, users):
        member_of[user_id].add(project_id)
    shared: dict[Audience, Audience] = {}
    result: dict[Principal, Audience | None] = {}
    for principal in asked:
        now = present.get(principal)
        if now is None or not now.has("viewer"):
            result[principal] = None
            continue
        sees_all = now.viewer.sees_all
        own = frozenset() if sees_all else visible | member_of[now.user_id]
        audience = Audience(sees_all, now.project_id, own)
        result[principal] = shared.setdefault(audience, audience)
    return result
