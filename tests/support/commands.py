"""Helpers for tests of the command line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.fake_api import RUN_ID, Answer, FakeApi
from tests.support.price_tags import compressed_run, tag

Captured = pytest.CaptureFixture[str]


OTHER_ID = "6f0c0d0e-0000-4000-8000-000000000002"


def issued(api: FakeApi, *causes: str, as_of: str | None = None) -> None:
    """The server has a version of the price tag for each cause; the last one is shown."""
    causes = causes or ("attempt-ended",)
    made = tag(compressed_run()) | {"version": len(causes)}
    made["provenance"] = made["provenance"] | {"as_of": as_of}
    items = [{"version": n, "cause": cause} for n, cause in enumerate(causes, 1)]
    api.answers[f"GET /v1/runs/{RUN_ID}/price-tag"] = Answer(made)
    api.answers[f"GET /v1/runs/{RUN_ID}/price-tags"] = Answer({"items": items[::-1]})


def said(capsys: Captured) -> Any:
    """What was printed as JSON; nothing else may be on stdout."""
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def complaint(capsys: Captured) -> str:
    """The one line on stderr; stdout is empty."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("pricetag: ")
    assert err.count("\n") == 1
    return err
