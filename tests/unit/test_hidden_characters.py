"""Names that look like another name are rejected, in every field that holds a name."""

from __future__ import annotations

import re
import sys
import unicodedata
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from app.schemas import (
    budgets,
    carbon,
    factors,
    papers,
    prices,
    projects,
    reports,
    runs,
    sites,
    tokens,
    users,
)
from app.schemas.common import Name, Request, StoredName
from pricetag.one_line import BIDIRECTIONAL, VISIBLE, hidden_in, one_line
from pricetag.recipes import RecipeError, parse_recipe, parse_run_spec

VISIBLE_NAMES = (
    *(
        "ada",
        "données",
        "評価",
        "a  b",
        "Ω-3 (β)",
        "naïve ½",
        "עברית",
        "اختبار",
        "тест",
        "\U0001f525",
    ),
    "می\u200cروم",  # Persian: joiners separate letters
    "क्\u200dष",  # Hindi: a joiner after a virama
    "\U0001f469\U0001f3fd\u200d\U0001f4bb",  # emoji: a woman, her skin, a laptop
    "\U0001f3f3\ufe0f\u200d\U0001f308",  # a flag and a rainbow
    "3\ufe0f\u20e3",  # a keycap
    "\ue000",  # private use: shown, by the font
)
HIDDEN = {
    "override": "run\u202e3pm",
    "isolate": "a\u2066b",
    "mark": "admin\u200f",
    "zero-width space": "ad\u200bmin",
    "byte-order mark": "\ufeffadmin",
    "soft hyphen": "ad\u00admin",
    "word joiner": "ad\u2060min",
    "joiner between letters": "ad\u200dmin",
    "joiner at the end": "می\u200c",
    "joiner before a space": "क्\u200d x",
    "line separator": "a\u2028b",
    "paragraph separator": "a\u2029b",
    "next line": "a\u0085b",
    "control": "a\x1b[31m",
    "newline": "a\nb",
    "filler": "ad\u3164min",
    "blank": "ad\u2800min",
    "selector": "admin\ufe0f",
    "ideographic selector": "東\U000e0100",
    "tag": "a\U000e0041",
}


@pytest.mark.parametrize("name", VISIBLE_NAMES)
def test_names_of_all_scripts_are_accepted(name: str) -> None:
    assert hidden_in(name) is None
    assert one_line(name) == name
    assert re.fullmatch(f"{VISIBLE}+", name)
    assert TypeAdapter(Name).validate_python(name) == name


@pytest.mark.parametrize("name", HIDDEN.values(), ids=list(HIDDEN))
def test_a_hidden_character_is_rejected_by_name(name: str) -> None:
    hidden = hidden_in(name)
    assert hidden is not None
    assert re.fullmatch(r"U\+[0-9A-F]{4,5} .+", hidden)
    assert hidden_in(one_line(name)) is None
    with pytest.raises(ValidationError, match=r"contains U\+.*, which is invisible"):
        TypeAdapter(Name).validate_python(name)


def test_every_format_and_separator_character_is_hidden_alone() -> None:
    categories = ("Cc", "Cf", "Cs", "Zl", "Zp")
    characters = [
        c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c) in categories
    ]
    assert len(characters) > 2000
    assert [c for c in characters if hidden_in(f"a{c}b") is None] == []
    assert all(c in characters for c in BIDIRECTIONAL)


@given(st.text())
def test_the_schema_rejects_nothing_that_is_accepted(name: str) -> None:
    if name and hidden_in(name) is None:
        assert re.fullmatch(f"{VISIBLE}+", name)


def requests(module: Any) -> list[type[BaseModel]]:
    return [
        cls
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, Request) and cls is not Request
    ]


MODULES = (budgets, carbon, factors, papers, prices, projects, reports, sites, tokens, users)
NOT_NAMES = {
    "description": "text of several lines",
    "content": "a file",
    "time_zone": "of a list",
    "grid_zone": "of a list",
    "zone": "of a list",
    "unit": "of a list",
}
LOOKED_UP = {"ReportFilter", "RunConditions", "PaperRule", "PaperCreate.project"}
LOOKED_UP |= {"MemberPut.user", "UserTokenCreate.project", "TokenCreate.project"}
LOOKED_UP |= {"TokenCreate.user", "BudgetCreate.user"}


def takes_text(annotation: Any) -> bool:
    """Whether ``str`` is the type or one of its alternatives."""
    if annotation is str:
        return True
    is_list = getattr(annotation, "__origin__", None) in (list, dict)
    return not is_list and any(takes_text(part) for part in get_args(annotation))


def text_fields() -> list[tuple[type[BaseModel], str]]:
    """The fields of all requests that take any text."""
    fields = []
    for model in dict.fromkeys(model for module in MODULES for model in requests(module)):
        for name, field in model.model_fields.items():
            looked_up = {model.__name__, f"{model.__name__}.{name}"} & LOOKED_UP
            if takes_text(field.annotation) and name not in NOT_NAMES and not looked_up:
                fields.append((model, name))
    return fields


@pytest.mark.parametrize(("model", "field"), text_fields())
@pytest.mark.parametrize("name", ["a\u202eb", "a\u200bb", "a\u2028b"])
def test_every_name_in_a_request_is_checked(model: type[BaseModel], field: str, name: str) -> None:
    with pytest.raises(ValidationError) as raised:
        model.model_validate({field: name})
    faults = {error["loc"][0]: error["type"] for error in raised.value.errors()}
    assert faults[field] in ("hidden_character", "string_pattern_mismatch", "currency", "email")


def test_all_fields_with_names_are_checked() -> None:
    fields = {f"{model.__name__}.{name}" for model, name in text_fields()}
    assert {"UserCreate.name", "BudgetCreate.project", "ReportCreate.title"} <= fields
    assert len(fields) > 20
    assert issubclass(runs.RunCreate, BaseModel)


RUN: dict[str, Any] = {
    "project": "p",
    "experiment": "e",
    "name": "n",
    "tags": ["t"],
    "recipe": {"stages": [{"kind": "command", "argv": ["true"], "name": "s"}]},
}


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("project", {"project": "a\u202eb"}),
        ("experiment", {"experiment": "a\u200bb"}),
        ("name", {"name": "a\nb"}),
        ("tags.0", {"tags": ["a\u2066b"]}),
        ("resources.pool", {"resources": {"pool": "a\u202eb"}}),
        (
            "recipe.stages.0.name",
            {"recipe": {"stages": [{"kind": "command", "argv": ["true"], "name": "a\u2029b"}]}},
        ),
    ],
)
def test_every_name_of_a_run_is_checked(field: str, change: dict[str, Any]) -> None:
    assert parse_run_spec(RUN).name == "n"
    with pytest.raises(RecipeError) as raised:
        parse_run_spec({**RUN, **change})
    assert [error.field for error in raised.value.errors] == [field]


def test_a_stored_recipe_keeps_its_names() -> None:
    stage = {"kind": "command", "argv": ["true"], "name": "a\u202eb"}
    assert parse_recipe({"stages": [stage]}).stages[0].name == "a\u202eb"


def test_stored_names_can_be_looked_up() -> None:
    for name in ("a\u202eb", "a\u200bb"):
        assert TypeAdapter(StoredName).validate_python(name) == name
