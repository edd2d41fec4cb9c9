from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import given, settings

from app.reports import markdown
from app.reports.shape import ModelCard
from app.reports.text import clean
from tests.support.report_contexts import context_with
from tests.unit.reports.strategies import names

ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">"}


def printed(source: str) -> str:
    """What a Markdown reader prints of escaped text."""
    plain = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", source)
    return re.sub("&amp;|&lt;|&gt;", lambda match: ENTITIES[match.group()], plain)


@given(names)
def test_escaped_text_prints_as_it_is(name: str) -> None:
    assert printed(markdown.escape(name)) == clean(name).strip()


@given(names)
def test_a_cell_prints_as_it_is(name: str) -> None:
    escaped = markdown.escape_inside(name)
    assert printed(escaped) == clean(name).strip()
    assert not set("`*_{}[]<>|~#!$@") & set(re.sub(r"\\.", "", escaped))


def test_figures_in_cells_stay_readable(site: dict[str, Any]) -> None:
    source = markdown.render(site).decode()  # type: ignore[arg-type]
    assert "| after quantize stage | 1.20 (38.7%) | 6,667 (2.6x) |" in source


@given(names)
def test_nothing_in_a_name_is_markup(name: str) -> None:
    escaped = markdown.escape(name)
    bare = re.sub(r"\\.", "", escaped)
    assert not set("`*_{}[]<>|~#!$@") & set(bare)
    assert not re.match(r"\d*[-+=.)]", escaped)
    assert not bare.endswith("\\")
    assert "://" not in bare


@settings(max_examples=100)
@given(names)
def test_tables_keep_their_columns(name: str) -> None:
    source = markdown.render(context_with(name)).decode()
    rows = [line for line in source.splitlines() if line.startswith("|")]
    assert len(rows) == 5
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {3}


@settings(max_examples=100)
@given(names)
def test_the_model_card_is_yaml_in_grams(name: str) -> None:
    source = markdown.render(context_with(name)).decode()
    block = re.search(r"```yaml\n(.*?)\n```", source, re.S)
    assert block is not None
    card = yaml.safe_load(block.group(1))["co2_eq_emissions"]
    assert card["emissions"] == 1.5
    assert "training_type" not in card


def test_an_unknown_emission_produces_no_card() -> None:
    card: ModelCard = {
        "emissions_g": None,
        "reason": "no grid zone",
        "source": "",
        "training_type": None,
        "geographical_location": None,
        "hardware_used": None,
    }
    source = markdown.render(context_with("x", model_card=card)).decode()
    assert "```" not in source
    assert "no grid zone" in source


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("- item", r"\- item"),
        ("1. item", r"1\. item"),
        ("1.5 kWh", r"1\.5 kWh"),
        ("# head", r"\# head"),
        ("a_b|c", r"a\_b\|c"),
        ("<b>&amp;", "&lt;b&gt;&amp;amp;"),
        ("see https://x.org", r"see https\://x.org"),
        ("@name", r"\@name"),
    ],
)
def test_openings_are_escaped(name: str, text: str) -> None:
    assert markdown.escape(name) == text


def test_a_real_card_has_the_run_s_grams_and_place(site: dict[str, Any]) -> None:
    source = markdown.render(site).decode()  # type: ignore[arg-type]
    block = re.search(r"```yaml\n(.*?)\n```", source, re.S)
    assert block is not None
    card = yaml.safe_load(block.group(1))["co2_eq_emissions"]
    assert card["emissions"] == pytest.approx(6.5786)
    assert card["geographical_location"] == "DE"
    assert "H100" in card["hardware_used"]
