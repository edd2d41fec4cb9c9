"""Metrics for Prometheus."""

from __future__ import annotations

from fastapi import Response

from app.api.access import READ
from app.api.branches import Branch
from app.api.deps import Caller, CurrentSession, ServerResources
from app.api.v1.responses import problems
from app.services.health import prometheus

router = Branch(tags=["health"])


@router.get(
    "/metrics",
    dependencies=[READ],
    summary="Show metrics for Prometheus",
    response_class=Response,
    responses={
        **problems(403),
        200: {
            "description": "Metrics in the text format of Prometheus.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
    },
)
async def get_metrics(
    session: CurrentSession, resources: ServerResources, caller: Caller
) -> Response:
    """Open runs, live workers, power of each device, and the energy of this month, all of the
    whole lab, without names of projects or people. Requires the role viewer.
    """
    live = resources.live.board
    text = await prometheus.metrics(
        session,
        caller,
        powers=prometheus.powers(live.devices(), live.history()),
        alarms=len(resources.alarms.messages),
    )
    return Response(text, media_type=prometheus.MEDIA_TYPE)
