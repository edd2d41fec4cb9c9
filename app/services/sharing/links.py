"""Share links: each is shown once, expires, counts its uses, and can be withdrawn at once."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from app.charts.drawing import Drawing
from app.db import Session
from app.reports.rendered import Rendered
from app.repositories.shares import shares
from app.schemas.common import Role
from app.schemas.reports import ReportRead
from app.schemas.shares import ShareCreate, ShareCreated, SharePage, ShareRead
from app.services import cursors
from app.services.errors import ConflictError, NotFoundError, PricetagError
from app.services.papers import files
from app.services.people import audit
from app.services.people.tokens import secret_sha256
from app.services.principals import Principal
from app.services.sharing import contents
from models import Share, User

SECRET_BYTES = 20
PATH = "/s"
"""Path of the links, before their secrets."""


class ShareNotFoundError(NotFoundError):
    """There is no such link, or it belongs to somebody else."""

    code = "share-not-found"


class ShareEndedError(PricetagError):
    """The link was withdrawn or has expired, or its user may no longer see what it showed."""

    code = "share-ended"
    status = 410


class NoArchiveError(ConflictError):
    """The link does not show a frozen paper."""

    code = "no-archive"


@dataclass(frozen=True, slots=True)
class Shared:
    """What a link shows.

    Attributes:
        share_id: ID of the link.
        report: The report.
        is_anonymous: Whether it is the variant for blind review.
        expires_at: Time after which the link no longer works.
    """

    share_id: uuid.UUID
    report: ReportRead
    is_anonymous: bool
    expires_at: datetime

    @property
    def has_archive(self) -> bool:
        """Whether it is a frozen paper."""
        paper = self.report.context.get("paper")
        return paper is not None and paper["frozen_at"] is not None


async def create(session: Session, principal: Principal, request: ShareCreate) -> ShareCreated:
    """Creates a link; only the response contains its secret.

    Raises:
        RoleRequiredError: If the principal may only read.
        NotFoundError: If there is no such object, or it is hidden.
        NotYoursToShareError: If it is somebody else's.
        PaperNotReportedError: If a paper has no report yet.
        PriceTagNotFoundError: If a run has no price tag yet.
        NoBlindVariantError: If the report cannot be made without names.
    """
    principal.require("member", "share results")
    kind, target_id = request.target
    content = await contents.content_of(session, principal, request.target, request.anonymous)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    share = Share(
        id=uuid.uuid4(),
        created_by=principal.user_id,
        secret_sha256=secret_sha256(secret),
        kind=kind,
        paper_id=target_id if kind == "paper" else None,
        report_id=target_id if kind == "report" else content.report_id,
        run_id=target_id if kind == "run" else None,
        title=content.title,
        is_anonymous=request.anonymous,
        expires_at=datetime.now(UTC) + timedelta(days=request.days),
        use_count=0,
        content_sha256=content.sha256,
        context=None if content.report_id is not None else content.context,
        price_tags=content.price_tags,
    )
    await shares.add(session, share)
    await audit.record(
        session,
        principal,
        action="created",
        object_kind="share",
        object_id=share.id,
        after={**_about(share), "expires_at": share.expires_at},
    )
    read = await _own(session, principal, share.id)
    return ShareCreated(**_read(*read).model_dump(), secret=secret, path=f"{PATH}/{secret}")


def _about(share: Share) -> dict[str, Any]:
    return {"name": share.title, "kind": share.kind, "anonymous": share.is_anonymous}


async def list_page(
    session: Session, principal: Principal, *, everyone: bool, cursor: str | None, limit: int
) -> SharePage:
    """A page of the principal's links, or of everybody's, newest first.

    Raises:
        RoleRequiredError: If the caller is not an administrator, and wants those of everyone.
        CursorError: If the cursor does not belong to this list.
    """
    if everyone:
        principal.require("admin", "see the share links of everyone")
    name = "all shares" if everyone else "shares"
    before = cursors.position(cursor, name)
    user_id = None if everyone else principal.user_id
    rows = await shares.page(session, user_id, before=before, limit=limit + 1)
    shown, following = cursors.page(rows, limit, lambda row: cursors.place(name, row[0]))
    visible = await _visible(session, shown)
    items = [_read(*row, is_visible=row[0].id in visible) for row in shown]
    return SharePage(items=items, next_cursor=following)


async def _visible(session: Session, rows: Sequence[Any]) -> set[uuid.UUID]:
    """The links of which their users may still see what they show."""
    by_user: dict[User, list[uuid.UUID]] = {}
    for share, user in rows:
        if _in_force(share, user):
            by_user.setdefault(user, []).append(share.id)
    visible: set[uuid.UUID] = set()
    for user, share_ids in by_user.items():
        visible |= await shares.visible(session, _principal(user).viewer, share_ids)
    return visible


def _principal(user: User) -> Principal:
    return Principal(user.id, None, user.name, cast(Role, user.role))


async def withdraw(session: Session, principal: Principal, share_id: uuid.UUID) -> ShareRead:
    """Ends a link at once; withdrawing it again changes nothing.

    Raises:
        ShareNotFoundError: If there is no such link of the principal.
    """
    share, user = await _own(session, principal, share_id)
    if share.withdrawn_at is None:
        share.withdrawn_at = datetime.now(UTC)
        await session.flush()
        about = _about(share)
        await audit.record(
            session,
            principal,
            action="revoked",
            object_kind="share",
            object_id=share.id,
            before={**about, "withdrawn_at": None},
            after={**about, "withdrawn_at": share.withdrawn_at},
        )
    return _read(share, user)


async def _own(session: Session, principal: Principal, share_id: uuid.UUID) -> Any:
    row = await shares.get(session, share_id)
    if row is None or not (principal.has("admin") or row[0].created_by == principal.user_id):
        raise ShareNotFoundError(
            f"Share link {share_id} not found: it does not exist or is somebody else's.",
            field="share_id",
        )
    return row


async def open_link(session: Session, secret: str) -> Shared:
    """What a link shows; counts its use.

    Args:
        session: Committed by the caller at once: other uses of the link wait for it.
        secret: Secret of the link.

    Raises:
        ShareNotFoundError: If no link has the secret.
        ShareEndedError: If the link was withdrawn or has expired, or its user may no longer see
            what it showed.
    """
    row = await shares.by_secret(session, secret_sha256(secret))
    if row is None:
        raise ShareNotFoundError("This link is incomplete, or is not of this server.")
    share, user = row
    if not _in_force(share, user):
        raise _ended()
    try:
        report = await contents.shown_report(session, _principal(user), share)
    except NotFoundError as error:
        raise _ended() from error
    await shares.note_use(session, share.id)
    return Shared(share.id, report, share.is_anonymous, share.expires_at)


def _ended() -> ShareEndedError:
    return ShareEndedError(
        "This link was withdrawn or has expired. Ask whoever sent it for a new one."
    )


async def price_tags_of(session: Session, shared: Shared) -> dict[str, str]:
    """The texts of the price tags for the archive of what a link shows, by run ID.

    Raises:
        NoArchiveError: If it is not a frozen paper.
    """
    if not shared.has_archive:
        raise NoArchiveError("Only a frozen paper has an archive.")
    stored = await shares.price_tags(session, shared.share_id)
    if stored is not None:
        return dict(stored)
    return await files.price_tag_texts(session, shared.report.context)


async def archive(shared: Shared, price_tags: dict[str, str], drawing: Drawing) -> Rendered:
    """The archive of what a link shows."""
    return await files.archive(shared.report, price_tags, drawing)


def _in_force(share: Share, user: User) -> bool:
    is_valid = share.withdrawn_at is None and share.expires_at > datetime.now(UTC)
    return is_valid and user.disabled_at is None


def _read(share: Share, user: User, *, is_visible: bool = True) -> ShareRead:
    targets = {"paper": share.paper_id, "report": share.report_id, "run": share.run_id}
    return ShareRead(
        id=share.id,
        kind=cast(Any, share.kind),
        target_id=targets[share.kind],
        title=share.title,
        anonymous=share.is_anonymous,
        user_id=share.created_by,
        user=user.name,
        created_at=share.created_at,
        expires_at=share.expires_at,
        withdrawn_at=share.withdrawn_at,
        in_force=is_visible and _in_force(share, user),
        use_count=share.use_count,
        last_used_at=share.last_used_at,
        content_sha256=share.content_sha256,
    )
