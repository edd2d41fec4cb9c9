"""The OpenAPI document: FastAPI's, plus the request bodies that the server itself parses."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.api.access import operations
from app.api.body import JSON_TYPES, YAML_TYPES
from app.schemas.budgets import BudgetChange, BudgetCreate
from app.schemas.burn_down import WhatIfCreate
from app.schemas.carbon import CarbonFetch, CarbonImport
from app.schemas.carbon_forecasts import ForecastFetch
from app.schemas.common import Problem
from app.schemas.factors import FactorCreate
from app.schemas.papers import PaperChange, PaperCreate, PaperReportCreate, PaperRunsAdd
from app.schemas.price_tags import RepriceRequest
from app.schemas.prices import PriceCreate, PriceImport
from app.schemas.projects import ProjectChange
from app.schemas.quotes import QuoteRequest
from app.schemas.reports import ReportCreate
from app.schemas.runs import RunCreate, RunPriority
from app.schemas.shares import ShareCreate
from app.schemas.sites import SiteCreate, SiteUpdate
from app.schemas.studies import StudyCreate
from app.schemas.tokens import TokenCreate
from app.schemas.users import (
    MemberPut,
    SignInLinkCreate,
    UserChange,
    UserCreate,
    UserTokenCreate,
)
from app.schemas.verifications import DocumentToVerify
from app.schemas.views import ViewCreate

BODIES: tuple[type[BaseModel], ...] = (
    RunCreate,
    StudyCreate,
    ReportCreate,
    RepriceRequest,
    TokenCreate,
    UserCreate,
    UserChange,
    UserTokenCreate,
    ProjectChange,
    MemberPut,
    QuoteRequest,
    BudgetCreate,
    BudgetChange,
    SiteCreate,
    SiteUpdate,
    FactorCreate,
    PriceCreate,
    PriceImport,
    CarbonImport,
    CarbonFetch,
    ForecastFetch,
    ViewCreate,
    DocumentToVerify,
    WhatIfCreate,
    RunPriority,
    SignInLinkCreate,
    PaperCreate,
    PaperChange,
    PaperRunsAdd,
    PaperReportCreate,
    ShareCreate,
)
TEMPLATE = "#/components/schemas/{model}"


def request_body(
    model: type[BaseModel], examples: dict[str, Any], description: str
) -> dict[str, Any]:
    """The `openapi_extra` of an operation with a body read by `app.api.body`."""
    schema = {"$ref": TEMPLATE.format(model=model.__name__)}
    named = {name: {"value": value} for name, value in examples.items()}
    content = {"schema": schema, "examples": named}
    return {
        "requestBody": {
            "required": True,
            "description": description,
            "content": {JSON_TYPES[0]: content, YAML_TYPES[0]: content},
        }
    }


def operation_id(route: APIRoute) -> str:
    """The ID of an operation from the name of its function: ``createRun`` for ``create_run``."""
    first, *others = route.name.split("_")
    return first + "".join(word.title() for word in others)


def install(app: FastAPI) -> None:
    """Makes `app.openapi()` return the complete document."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        tags=app.openapi_tags,
        routes=app.routes,
    )
    for operation in operations(app):
        for method in operation.methods:
            described = document["paths"].get(operation.path, {}).get(method.lower())
            if described is not None:
                described["x-access"] = operation.access[0].as_dict()
    _, definitions = models_json_schema(
        [(model, "validation") for model in BODIES] + [(Problem, "serialization")],
        ref_template=TEMPLATE,
    )
    schemas: dict[str, Any] = document.setdefault("components", {}).setdefault("schemas", {})
    for name, schema in definitions["$defs"].items():
        if schemas.setdefault(name, schema) != schema:
            raise ValueError(f"two different schemas are named {name}")
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document
