"""Runs from before a kind got more options keep their fingerprints and the keys of their steps."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from app.services.quoting.likeness import former_likeness, likeness
from pricetag.recipes import REGISTRY, parse_recipe
from pricetag.recipes.kinds import RecipeEntry
from workers.job import steps

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "first_step_keys.json"
CASES: dict[str, Any] = json.loads(GOLDEN.read_text())
"""By kind: stages, and what a version with only one method a kind made of them."""

HEAD: dict[str, Any] = {
    "task": "classification",
    "data": {"train": "a.tsv", "validation": "b.tsv", "test": "c.tsv"},
    "model": "base",
}
FILES: steps.Files = {split: [f"{split}.tsv", 10, 20] for split in ("train", "validation", "test")}


def step_keys(stages: list[Any]) -> list[str]:
    recipe = parse_recipe(HEAD | {"stages": stages})
    keys = [steps.fingerprint(recipe)]
    for step in steps.plan(recipe):
        keys.append(steps.step_key(keys[-1], step, recipe, FILES))
    return keys[1:]


@pytest.mark.parametrize("kind", CASES)
def test_step_keys_and_fingerprints_of_the_first_methods_stay_as_they_were(kind: str) -> None:
    stages = CASES[kind]["stages"]
    assert step_keys(stages) == CASES[kind]["step_keys"]
    stored = parse_recipe(HEAD | {"stages": stages}).model_dump(mode="json")
    # Splits that no stage reads no longer count, but earlier fingerprints are still looked up.
    former = likeness(stored, every_split=True)
    assert asdict(former) == CASES[kind]["likeness"]
    assert former_likeness(stored) in (None, former)


def with_later_options() -> list[RecipeEntry[Any]]:
    return [entry for entry in REGISTRY.values() if entry.traits.later]


@pytest.mark.parametrize("entry", with_later_options(), ids=lambda entry: entry.kind)
def test_a_later_option_counts_only_beside_its_default(entry: RecipeEntry[Any]) -> None:
    options = entry.params.model_validate(entry.example).model_dump(mode="json")
    for path in entry.traits.later:
        name, _, part = path.partition(".")
        changed: Any = {**options[name], part: "another"} if part else "another"
        kept = entry.without_later(options | {name: changed})[name]
        assert (kept[part] if part else kept) == "another"
        default: Any = entry.params.model_fields[name].get_default(call_default_factory=True)
        default = getattr(default, part) if part else default
        unchanged: Any = {**options[name], part: default} if part else default
        shortened = entry.without_later(options | {name: unchanged})
        assert part not in shortened[name] if part else name not in shortened


def test_another_method_has_other_step_keys() -> None:
    train = {"kind": "train"}
    first = step_keys([train, {"kind": "distill"}])
    assert first == step_keys([train, {"kind": "distill", "method": "logits"}])
    assert first[-1] != step_keys([train, {"kind": "distill", "method": "pkd"}])[-1]
