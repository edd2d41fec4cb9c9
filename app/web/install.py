"""Adds the dashboard to the application."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from app.api import branches
from app.web import assets, headers, problems
from app.web.pages import (
    account,
    admin,
    budgets,
    carbon,
    compare,
    compressions,
    curves,
    docs,
    energy,
    frontier,
    help,
    nodes,
    overview,
    papers,
    power,
    provider,
    queue,
    run,
    run_actions,
    run_logs,
    run_power,
    run_selection,
    runs,
    shared,
    shares,
    sign_in,
    studies,
    verify,
    work,
)

PAGES = (
    sign_in,
    provider,
    overview,
    power,
    run_selection,
    queue,
    nodes,
    runs,
    verify,
    run,
    run_actions,
    run_logs,
    run_power,
    studies,
    energy,
    work,
    budgets,
    carbon,
    account,
    admin,
    help,
    docs,
    frontier,
    compressions,
    curves,
    compare,
    papers,
    shares,
    shared,
)
"""Modules of pages, each with its `router`; a new one is added here."""


def install(app: FastAPI) -> None:
    """Adds pages, their files, their error pages and their security headers."""
    for page in PAGES:
        branches.install(app, page.router)
    assets.install(app)
    problems.install(app)
    headers.install(app)
    app.state.page_paths = {
        route.name: route.path
        for route in iter_route_contexts(app.routes)
        if not getattr(route, "include_in_schema", True)
    }
