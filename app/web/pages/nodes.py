"""Worker machines: state, meters, idle power, and the energy account of each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal

from fastapi import Depends, Path, Query, Request, Response

from app.api.access import READ
from app.api.deps import Caller, CurrentSession
from app.db import Session
from app.schemas.common import PathName
from app.schemas.energy import EnergyAccount, EnergyBy
from app.schemas.nodes import NodeRead
from app.services import nodes
from app.services.energy.account import NodeNotFoundError, energy_account
from app.services.principals import Principal
from app.web.asked import Asked, PageQuery, asking
from app.web.choices import Choices
from app.web.links import stream_url
from app.web.rendering import page_router, render, section
from app.web.views import nodes as node_views
from app.web.views.periods import TITLES, Named, Period, period

router = page_router()
NodeName = Annotated[PathName, Path(description="Name of the node.")]

Length = Literal["24h", "7d", "30d"]
Chosen = Annotated[Length, Query(alias="period")]
NAMES: tuple[Named, ...] = ("24h", "7d", "30d")
OF_NODES = section("show_nodes")


class NodesQuery(PageQuery):
    """The period of the nodes."""

    choices: ClassVar[Choices] = {"period": {name: TITLES[name] for name in NAMES}}
    period: Length = "7d"


AskedNodes = Annotated[Asked[NodesQuery], Depends(asking(NodesQuery))]


@router.get("/nodes", dependencies=[READ])
async def show_nodes(
    request: Request, session: CurrentSession, caller: Caller, asked: AskedNodes
) -> Response:
    """All nodes."""
    span = _span(asked.query.period)
    read = await nodes.list_nodes(session, caller)
    account = await _account(session, caller, span, "node", None)
    return render(
        request,
        "nodes.html",
        status=asked.status,
        form=asked.form,
        rows=node_views.rows(read.items, account),
        span=span,
        at=datetime.now(UTC),
        stream=stream_url(request),
    )


@router.get("/nodes/{node_name}", dependencies=[READ], openapi_extra=OF_NODES)
async def show_node(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    node_name: NodeName,
    asked: AskedNodes,
) -> Response:
    """One node."""
    span = _span(asked.query.period)
    node = await _node(session, caller, node_name)
    hours = await _account(session, caller, span, "hour", node.name)
    account = await _account(session, caller, span, "component", node.name)
    of_total, of_components, of_days = node_views.units(account, hours)
    return render(
        request,
        "node.html",
        status=asked.status,
        form=asked.form,
        node=node,
        state=node_views.state(node),
        devices=node_views.devices(node),
        limits=node_views.limits(node),
        meters=node_views.meters(node),
        idle=node_views.idle(node),
        strip=node_views.strip(hours, of_days),
        total=node_views.total(account, of_total),
        components=node_views.components(account, of_components),
        span=span,
        at=datetime.now(UTC),
        stream=stream_url(request),
    )


@router.get("/nodes/{node_name}/energy.csv", dependencies=[READ], openapi_extra=OF_NODES)
async def download_node(
    session: CurrentSession, caller: Caller, node_name: NodeName, length: Chosen = "7d"
) -> Response:
    """The hours of a node as CSV."""
    hours = await _account(session, caller, _span(length), "hour", node_name)
    headers = {"Content-Disposition": 'attachment; filename="node-energy.csv"'}
    return Response(node_views.as_csv(hours), media_type="text/csv", headers=headers)


def _span(name: Named) -> Period:
    return period(name, None, None, datetime.now(UTC), "7d", NAMES)


async def _account(
    session: Session, caller: Principal, span: Period, by: EnergyBy, node: str | None
) -> EnergyAccount:
    text = await energy_account(session, caller, start=span.start, stop=span.stop, by=by, node=node)
    return EnergyAccount.model_validate_json(text)


async def _node(session: Session, caller: Principal, name: str) -> NodeRead:
    """The node with a name.

    Raises:
        NodeNotFoundError: If no node has registered with this name.
    """
    for node in (await nodes.list_nodes(session, caller)).items:
        if node.name == name:
            return node
    raise NodeNotFoundError(f"Node '{name}' not found: it has never registered.", field="name")
