"""Share links: papers, reports and runs, shown to people without a token."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Path, Query, Response

from app.api.access import READ, SHARE, WITHDRAW_SHARE
from app.api.body import validated
from app.api.branches import Branch
from app.api.deps import Body, Caller, CurrentSession, Cursor, Limit
from app.api.openapi import request_body
from app.api.v1.responses import BODY, problems
from app.schemas.shares import ShareCreate, ShareCreated, SharePage, ShareRead
from app.services.sharing import links

router = Branch(prefix="/shares", tags=["shares"])


@router.post(
    "",
    status_code=201,
    dependencies=[SHARE],
    summary="Create a share link",
    responses=problems(403, 404, 409, *BODY),
    openapi_extra=request_body(ShareCreate, {}, "One of `paper`, `report` and `run`."),
)
async def create_share(
    session: CurrentSession, caller: Caller, body: Body, response: Response
) -> ShareCreated:
    """Creates a link that shows a paper, a report or a run to anybody who has it; only this
    response contains its secret. What it shows is fixed: the newest report of the paper, or price
    tag of the run. Only who created the paper or report, or posted the run, and administrators may
    share it. The link ends when its user is disabled or may no longer see what it shows.
    """
    share = await links.create(session, caller, validated(ShareCreate, body))
    response.headers["Location"] = share.path
    return share


@router.get("", dependencies=[READ], summary="List share links", responses=problems(403))
async def list_shares(
    session: CurrentSession,
    caller: Caller,
    everyone: Annotated[
        bool, Query(alias="all", description="Links of all users; requires the role admin.")
    ] = False,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> SharePage:
    """Lists the caller's share links, or with `all` everybody's, newest first, with the number of
    their uses.
    """
    return await links.list_page(session, caller, everyone=everyone, cursor=cursor, limit=limit)


@router.delete(
    "/{share_id}",
    dependencies=[WITHDRAW_SHARE],
    summary="Withdraw a share link",
    responses=problems(404),
)
async def withdraw_share(
    session: CurrentSession,
    caller: Caller,
    share_id: Annotated[uuid.UUID, Path(description="ID of the share link.")],
) -> ShareRead:
    """The link stops working at once; withdrawing it again changes nothing. For who created it
    and administrators.
    """
    return await links.withdraw(session, caller, share_id)
