"""Recipes, projects, experiments and nodes."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from app.api.access import READ
from app.api.branches import Branch
from app.api.deps import Caller, CurrentSession, Cursor, Limit
from app.api.v1.responses import problems
from app.schemas.common import StoredName
from app.schemas.nodes import NodeList
from app.schemas.projects import ExperimentPage, ProjectPage
from app.schemas.recipes import RecipeList
from app.services import nodes, recipes
from app.services.people import projects

router = Branch()


@router.get(
    "/recipes",
    tags=["recipes"],
    dependencies=[READ],
    summary="List stage kinds",
    responses=problems(),
)
async def list_recipes(caller: Caller) -> RecipeList:
    """Lists every stage kind with its JSON schema, paper and example."""
    return recipes.list_recipes()


@router.get(
    "/projects",
    tags=["projects"],
    dependencies=[READ],
    summary="List projects",
    responses=problems(),
)
async def list_projects(
    session: CurrentSession, caller: Caller, cursor: Cursor = None, limit: Limit = 50
) -> ProjectPage:
    """Lists projects by name; the first run in a project creates it."""
    return await projects.list_projects(session, caller, cursor, limit)


@router.get(
    "/experiments",
    tags=["projects"],
    dependencies=[READ],
    summary="List experiments",
    responses=problems(404),
)
async def list_experiments(
    session: CurrentSession,
    caller: Caller,
    project: Annotated[
        StoredName | None, Query(description="Only experiments of this project.")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ExperimentPage:
    """Lists experiments by project and name."""
    return await projects.list_experiments(session, caller, project, cursor, limit)


@router.get(
    "/nodes",
    tags=["nodes"],
    dependencies=[READ],
    summary="List nodes",
    responses=problems(),
)
async def list_nodes(session: CurrentSession, caller: Caller) -> NodeList:
    """Lists worker machines with their devices, metering capabilities and running jobs."""
    return await nodes.list_nodes(session, caller)
