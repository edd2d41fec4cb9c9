"""Choices of forms: errors use the labels that the form shows."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from app.web import asked, pages, run_query
from app.web.asked import PageQuery
from app.web.pages.energy import EnergyQuery
from app.web.run_query import RunQuery


def queries() -> list[type[BaseModel]]:
    """All queries of pages with a form."""
    for module in pkgutil.walk_packages(pages.__path__, f"{pages.__name__}."):
        importlib.import_module(module.name)
    return [RunQuery, *_below(PageQuery)]


def _below(base: type[PageQuery]) -> Iterator[type[PageQuery]]:
    for query in base.__subclasses__():
        yield query
        yield from _below(query)


def literals(annotation: Any) -> set[Any]:
    """The values among which a field of this type chooses; empty for a field of free text."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    nested = get_args(annotation) if get_origin(annotation) is not Literal else ()
    return set().union(*(literals(each) for each in nested)) if nested else set()


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.__name__)
def test_every_field_with_a_few_values_has_words_for_them(query: Any) -> None:
    fields = query.model_fields
    few = {fields[name].alias or name: literals(fields[name].annotation) for name in fields}
    few = {name: values - {""} for name, values in few.items() if values - {""}}
    assert set(query.choices) == set(few)
    for name, words in query.choices.items():
        assert words
        assert set(words) - {""} <= few[name], name
        if name != "period":  # some pages offer only some of them
            assert set(words) - {""} == few[name], name


def test_a_wrong_choice_is_answered_in_the_words_of_the_form() -> None:
    form = asked.read(EnergyQuery, [("by", "planet"), ("grain", "hour")]).form
    assert form.problem("by") == "must be one of Use, Node, Component, Site, Project or User."
    assert form.lines == [("by", "By: must be one of Use, Node, Component, Site, Project or User.")]
    wrong = run_query.read([("sort", "dearest"), ("status", "done"), ("by", "moon")]).problems
    assert wrong["sort"].startswith("must be one of Newest first, Oldest first, ")
    assert wrong["sort"].endswith(" or Least energy first")
    assert wrong["status"] == "must be one of queued, running, succeeded, failed or canceled"
    assert "Recipe, with its seeds" in wrong["by"]


def test_other_mistakes_keep_their_words() -> None:
    assert run_query.read([("limit", "many")]).problems == {"limit": "must be a whole number"}
