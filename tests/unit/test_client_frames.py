"""Responses in notebooks: data frames, and tables in HTML."""

from __future__ import annotations

import json
import sys
from typing import Any

import httpx
import pytest

from pricetag.client import Client, InvalidConnection
from pricetag.client.shown import MissingPackageError, ShownPaper, ShownStudy
from pricetag.tag.headline import headline_of
from tests.support.price_tags import compressed_run, tag, unmetered_run

RUN: dict[str, Any] = {
    **{"project": "text", "experiment": "sst2", "name": "<b>best</b>", "user": "ada"},
    **{"tags": ["final"], "kind": "train", "status": "succeeded"},
    **{"created_at": "2026-03-01T12:00:00Z", "started_at": None, "finished_at": None},
}
ITEMS = [
    {**RUN, "id": "1", "price_tag": {"version": 1, **headline_of(tag(compressed_run()))}},
    {**RUN, "id": "2", "price_tag": {"version": 1, **headline_of(tag(unmetered_run()))}},
    {**RUN, "id": "3", "price_tag": None},
]


def answered(request: httpx.Request) -> httpx.Response:
    body: Any = {"items": ITEMS, "next_cursor": None}
    if request.url.path.endswith("/price-tag"):
        body = tag(compressed_run())
    return httpx.Response(200, json=body)


@pytest.fixture
def client() -> Client:
    return Client("http://lab.test", "pt_x", transport=httpx.MockTransport(answered))


def test_runs_are_a_frame_with_intervals_sources_and_units(client: Client) -> None:
    pytest.importorskip("pandas")
    frame = client.runs(project="text").frame()
    assert list(frame["id"]) == ["1", "2", "3"]
    figure = ITEMS[0]["price_tag"]["figures"]["it_energy_kwh"]
    first = frame.iloc[0]
    for part in ("value", "low", "high", "source"):
        column = "it_energy_kwh" if part == "value" else f"it_energy_kwh_{part}"
        assert first[column] == figure[part]
    assert frame["it_energy_kwh"].isna().tolist() == [False, True, True]
    assert frame["it_energy_kwh_reason"][1] == "no component was metered"
    assert frame["cost_currency"].tolist()[0] == "USD"
    assert frame["cost_currency"].isna().tolist()[1:] == [True, True]
    assert frame.attrs["units"]["co2e_kg"] == "kg"
    assert str(frame["created_at"][0]) == "2026-03-01 12:00:00+00:00"
    assert first["score_metric"] == "accuracy"


def test_a_frame_without_pandas_says_what_to_install(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingPackageError, match="pip install pandas"):
        client.runs().frame()


def test_a_notebook_shows_tables_whose_texts_are_escaped(client: Client) -> None:
    runs = client.runs()._repr_html_()
    assert "&lt;b&gt;best&lt;/b&gt;" in runs
    assert "<b>best" not in runs
    assert "no component was metered" in runs
    price_tag = client.price_tag("1")
    assert json.loads(json.dumps(price_tag)) == tag(compressed_run())
    shown = price_tag._repr_html_()  # type: ignore[attr-defined]
    assert "MiniLM fine-tuned, then int8, price tag 1" in shown
    assert "IT energy" in shown
    assert "modelled" in shown
    figures = {"it_energy_kwh": ITEMS[0]["price_tag"]["figures"]["it_energy_kwh"]}
    study = {"name": "s", "status": "finished", "price_tag": figures, "trials": [{}]}
    best = {"trial": 0, "score": 0.9}
    html = ShownStudy(study | {"best": best, "saved": None})._repr_html_()
    assert "0, score 0.9" in html
    run = {"name": "r", "experiment": "e", "status": "failed", "purpose": None, "version": None}
    html = ShownPaper({"title": "t", "frozen_at": None, "runs": [run]})._repr_html_()
    assert "t (collecting), runs: 1" in html


def test_address_and_token_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRICETAG_URL", "http://lab.test/")
    monkeypatch.setenv("PRICETAG_TOKEN", "pt_secret")
    sent: list[str | None] = []

    def note(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("authorization"))
        return answered(request)

    with Client(transport=httpx.MockTransport(note)) as client:
        client.runs()
    with Client("http://other.test", transport=httpx.MockTransport(note)) as client:
        client.runs()
    assert sent == ["Bearer pt_secret", None]
    monkeypatch.delenv("PRICETAG_URL")
    with pytest.raises(InvalidConnection, match="set PRICETAG_URL"):
        Client()
