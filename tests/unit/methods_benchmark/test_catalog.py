"""The benchmark's runs: every method has one, and each is a run that the service accepts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from benchmarks.methods import catalog as catalogs
from benchmarks.methods import claims as claiming
from benchmarks.methods.catalog import BASE, TEACHER, Catalog, Entry
from benchmarks.methods.execute import entries_for
from benchmarks.methods.plan import (
    Budget,
    Trial,
    budget_on,
    described_run,
    fingerprint,
    stages,
    trials,
)
from pricetag.recipes import REGISTRY, parse_run_spec
from pricetag.recipes.run_spec import derive_kind
from pricetag.recipes.shapes import Shape

CATALOG = catalogs.read()
BUDGET = Budget()
UPSTREAM = {"run": str(UUID(int=1)), "stage": "train"}
MINILM = Shape(6, 384, 12, 1536)


def test_every_method_has_a_run_or_a_reason() -> None:
    assert CATALOG.missing() == []


def test_a_reason_is_of_a_kind_without_a_run() -> None:
    present = {entry.method for entry in CATALOG.runs.values()}
    assert set(CATALOG.not_run) <= set(REGISTRY)
    assert not present & set(CATALOG.not_run)
    assert all(CATALOG.not_run.values())


@pytest.mark.parametrize("name", list(CATALOG.runs))
def test_a_run_is_accepted(name: str) -> None:
    entry = CATALOG.runs[name]
    upstream = None if entry.start == BASE else UPSTREAM
    for data in entry.data:
        spec = parse_run_spec(described_run(entry, BUDGET, Trial(3, data, name), upstream))
        kinds = derive_kind(spec.recipe).split("+")
        measured = kinds[-1] == "measure"
        assert measured == entry.is_measured
        # The chain computes what the row is about.
        chain = {kind for link in CATALOG.chain(name) for kind in _kinds(link)}
        assert entry.method in chain
        shape = MINILM if entry.model is None else Shape()
        for stage in spec.recipe.stages:  # fits the encoder, not only any model
            shape = REGISTRY[stage.stage_kind()].traits.reshape(stage, shape)


def _kinds(entry: Entry) -> list[str]:
    spec = parse_run_spec(described_run(entry, BUDGET, Trial(0, "sst2", entry.name), None))
    return derive_kind(spec.recipe).split("+")


def test_the_budget_is_that_of_all() -> None:
    budget = Budget(batch_size=7, learning_rate=3e-4, max_length=21, epochs=0.5)
    for entry in CATALOG.runs.values():
        for stated, stage in zip(entry.stages, stages(entry, budget, 5), strict=False):
            for option, value in (("batch_size", 7), ("max_length", 21), ("seed", 5)):
                assert stage.get(option, value) == stated.get(option, value)
            assert stage.get("evaluate", False) is False
            if "epochs" in stage:
                assert stage["epochs"] == 0.5 * stated.get("epochs", 1.0)


def test_upstream_runs_come_first_and_once() -> None:
    listed = [entry.name for entry in entries_for(CATALOG, None)]
    assert sorted(listed) == sorted(CATALOG.runs)
    for name in listed:
        chain = [entry.name for entry in CATALOG.chain(name)]
        assert [listed.index(link) for link in chain] == sorted(listed.index(n) for n in chain)


def test_named_runs_bring_what_they_need() -> None:
    listed = [entry.name for entry in entries_for(CATALOG, ["distill-distilbert"])]
    assert listed == [TEACHER, "mlm-teacher", "distilbert-words", "distill-distilbert"]
    with pytest.raises(ValueError, match="unknown: distil-bert"):
        entries_for(CATALOG, ["distil-bert"])


def test_the_first_seed_of_all_runs_comes_first() -> None:
    entries = [CATALOG.runs[name] for name in (TEACHER, "distill-sequence")]
    listed = trials(entries, 2, ["sst2", "cola"])
    assert [(t.seed, t.data, t.name) for t in listed] == [
        (0, "sst2", TEACHER),
        (0, "sst2", "distill-sequence"),
        (0, "cola", TEACHER),
        (1, "sst2", TEACHER),
        (1, "sst2", "distill-sequence"),
        (1, "cola", TEACHER),
    ]


def test_a_fingerprint_covers_the_chain_the_budget_and_the_inputs() -> None:
    trial = Trial(0, "sst2", "distill-logits")
    first = fingerprint(CATALOG, BUDGET, trial, "inputs")
    teacher = replace(CATALOG.runs[TEACHER], stages=[{"kind": "train", "max_steps": 3}])
    changed = Catalog({**CATALOG.runs, TEACHER: teacher}, {})
    others = [
        fingerprint(changed, BUDGET, trial, "inputs"),
        fingerprint(CATALOG, replace(BUDGET, examples=9), trial, "inputs"),
        fingerprint(CATALOG, BUDGET, replace(trial, seed=1), "inputs"),
        fingerprint(CATALOG, BUDGET, trial, "other inputs"),
    ]
    assert len({first, *others}) == 5
    retitled = replace(CATALOG.runs["distill-logits"], title="another title")
    same = Catalog({**CATALOG.runs, "distill-logits": retitled}, {})
    assert fingerprint(same, BUDGET, trial, "inputs") == first


@pytest.mark.parametrize("start", ["nothing", "here", "there"])
def test_a_chain_that_leads_nowhere_is_rejected(start: str, tmp_path: Path) -> None:
    file = tmp_path / "catalog.yaml"
    run = "{title: t, method: train, stages: [], start: %s}"
    file.write_text(f"runs:\n  here: {run % start}\n  there: {run % 'here'}\nnot_run: {{}}\n")
    with pytest.raises(ValueError, match="here: "):
        catalogs.read(file)


def test_claims_name_runs_of_their_data_set() -> None:
    claims = claiming.read()
    assert len({claim.id for claim in claims}) == len(claims)
    for claim in claims:
        assert (claim.rule is None) == (claim.not_testable is not None)
        for name in claim.runs():
            assert claim.data in CATALOG.runs[name].data, claim.id
            assert CATALOG.runs[name].is_measured, claim.id


def test_a_data_set_has_a_budget_of_its_own_but_for_what_the_user_states() -> None:
    own = CATALOG.budgets["cola"]
    assert budget_on(CATALOG, BUDGET, "sst2") == BUDGET
    assert budget_on(CATALOG, BUDGET, "cola") == replace(BUDGET, **own)
    stated = replace(BUDGET, examples=100)
    assert budget_on(CATALOG, stated, "cola") == replace(BUDGET, **{**own, "examples": 100})
    for data in CATALOG.budgets:
        marks = {
            fingerprint(catalog, BUDGET, Trial(0, data, TEACHER), "inputs")
            for catalog in (CATALOG, replace(CATALOG, budgets={}))
        }
        assert len(marks) == 2
