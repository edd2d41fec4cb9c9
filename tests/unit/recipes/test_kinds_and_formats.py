"""Every kind states the formats of models that it works on; all others are rejected beforehand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pricetag.recipes import REGISTRY, RecipeEntry
from pricetag.recipes.base import StageParams
from pricetag.recipes.plan import Misfit, misfit
from pricetag.recipes.registry import kind_of
from pricetag.recipes.shapes import ALL_FORMATS, Shape
from pricetag.recipes.tasks import TASKS
from tests.support.formats_of_kinds import (
    ARCHITECTURES,
    FORMATS,
    KINDS,
    MAKERS,
    Options,
    options_of,
)

PLAIN = Shape(4, 32, 4, 64, complete=True)
PAIRS = [(kind, name) for kind in KINDS for name in FORMATS]


def params_of(options: Options) -> StageParams:
    params: StageParams = REGISTRY[kind_of(options)].params.model_validate(options)
    return params


def fault(options: Options, name: str) -> Misfit | None:
    """Why a stage does not work on a format; None if it does."""
    stage = params_of(options)
    if options.get("start") == "pretrained" and name not in ARCHITECTURES:
        return misfit(PLAIN, [params_of(MAKERS[name][-1]), stage])  # it starts before the format
    return misfit(PLAIN.of_format(name), [stage], {0: PLAIN})


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_a_format_is_accepted_where_it_is_stated_and_rejected_elsewhere(
    kind: str, name: str
) -> None:
    reasons = [fault(options, name) for options in options_of(kind)]
    if name in (REGISTRY[kind].traits.formats or ()):
        assert None in reasons, reasons
        return
    for reason in reasons:
        assert reason is not None
        assert reason.field.startswith(("stages.0.", "stages.1."))
        assert name.replace("_", " ") in reason.message or "early exits" in reason.message


@pytest.mark.parametrize("kind", KINDS)
def test_plain_models_are_accepted(kind: str) -> None:
    for options in options_of(kind):
        assert misfit(PLAIN, [params_of(options)], {0: PLAIN}) is None, options


def entry(**traits: Any) -> RecipeEntry[Any]:
    train = REGISTRY["train"]
    return replace(train, traits=replace(train.traits, **traits))


def test_a_kind_that_states_no_formats_is_an_error() -> None:
    with pytest.raises(ValueError, match="train: traits must state the formats"):
        entry(formats=None)
    with pytest.raises(ValueError, match="unknown formats: round"):
        entry(formats=frozenset({"round", "sliced"}))
    assert entry(formats=frozenset()).traits.formats == frozenset()


def test_a_format_that_a_new_kind_does_not_state_is_rejected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(REGISTRY, "train", entry(formats=frozenset({"exits"})))
    stage = REGISTRY["train"].params.model_validate(REGISTRY["train"].example)
    assert misfit(PLAIN.of_format("exits"), [stage]) is None
    reason = misfit(PLAIN.of_format("exits", "sliced"), [stage])
    assert reason is not None
    assert (reason.field, reason.code) == ("stages.0.kind", "bad-model")
    assert "is sliced: train works on plain models and those that are exits" in reason.message


def test_kinds_and_formats_are_all_covered() -> None:
    assert set(FORMATS) == ALL_FORMATS
    assert set(KINDS) == {k for k, e in REGISTRY.items() if not e.traits.runs_program}
    assert all(entry.traits.tasks <= set(TASKS) for entry in REGISTRY.values())
