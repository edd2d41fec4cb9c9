from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from fastapi import FastAPI

from app import errors
from app.api.v1 import examples
from app.schemas.carbon import CarbonFetch, CarbonImport
from app.schemas.carbon_forecasts import ForecastFetch
from app.schemas.common import FieldProblem
from app.schemas.factors import FactorCreate
from app.schemas.prices import PriceCreate, PriceImport
from app.schemas.quotes import QuoteCreate
from app.schemas.reports import ReportCreate
from app.schemas.sites import SiteCreate, SiteUpdate
from app.schemas.tokens import TokenCreate
from app.services.factors.hourly_csv import read_hours
from app.services.factors.kinds import checked
from app.services.factors.price_files import read_prices
from pricetag.recipes import parse_run_spec


def test_fields_are_named_as_their_author_knows_them() -> None:
    assert errors.field_path(("body", "recipe", "stages", 0, "kind")) == "recipe.stages.0.kind"
    assert errors.field_path(("query", "limit")) == "limit"
    assert errors.field_path(("query", "status", 0)) == "status"
    assert errors.field_path(("body",)) is None
    assert errors.field_path(("body", "\ud800")) == "\\ud800"


def test_rejected_values_are_not_echoed() -> None:
    fault = {"loc": ("body", "name"), "msg": "too long", "input": "secret", "type": "x"}
    (problem,) = errors.field_problems([fault])
    assert "secret" not in problem.model_dump_json()


def test_the_summary_counts_omitted_problems() -> None:
    problems = [FieldProblem(field="a", message="is wrong"), FieldProblem(field=None, message="b")]
    assert errors.summary(problems) == "a: is wrong (and 1 more)"
    assert errors.summary(problems[1:]) == "b"


def test_a_problem_holds_text_that_cannot_be_encoded() -> None:
    response = errors.problem(422, "invalid-request", "half \ud800")
    assert json.loads(bytes(response.body))["detail"] == "half \\ud800"
    assert response.headers["content-type"] == "application/problem+json"


def test_every_example_of_the_document_is_accepted() -> None:
    for body in (examples.PIPELINE_RUN, examples.COMMAND_RUN):
        parse_run_spec(body)
    ReportCreate.model_validate(examples.REPORT)
    TokenCreate.model_validate(examples.TOKEN)
    QuoteCreate.model_validate(examples.QUOTE)
    SiteCreate.model_validate(examples.SITE)
    SiteUpdate.model_validate(examples.SITE_CHANGE)
    CarbonFetch.model_validate(examples.CARBON_FETCH)
    ForecastFetch.model_validate(examples.FORECAST_FETCH)
    now = datetime(2026, 6, 1, tzinfo=UTC)
    for factor in (examples.FACTOR, examples.TARIFF):
        assert checked(FactorCreate.model_validate(factor), now, currency="EUR", site="berlin")
    for price in (examples.PRICE, examples.OWNED_PRICE):
        PriceCreate.model_validate(price)
    assert len(read_prices(PriceImport.model_validate(examples.PRICE_FILE))) == 1
    hours = CarbonImport.model_validate(examples.CARBON_FILE)
    assert len(read_hours(hours.content, now)) == 2


def test_every_operation_is_described_and_its_errors_are_problems(unserved: FastAPI) -> None:
    document = unserved.openapi()
    seen: set[str] = set()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["operationId"] not in seen
            seen.add(operation["operationId"])
            assert operation["summary"], path
            assert operation["description"], path
            assert operation["tags"], path
            needs_token = "security" in operation
            assert needs_token == (path.startswith("/v1/") or path == "/metrics")
            assert ("401" in operation["responses"]) == needs_token
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"], path
    assert {"createRun", "getMetrics"} <= seen


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/runs", ["GET", "POST"]),
        ("/v1/runs/x", ["GET"]),
        ("/v1/tokens/x", ["DELETE"]),
        ("/v1/reports/x.pdf", ["GET"]),
        ("/v1/nothing", []),
    ],
)
def test_methods_of_a_path_are_listed(unserved: FastAPI, path: str, methods: list[str]) -> None:
    assert errors.methods_of(unserved, path) == methods
