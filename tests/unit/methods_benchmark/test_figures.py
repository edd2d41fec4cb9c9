"""Figures of a run: from its price tag and those of the runs that it starts from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.methods import catalog as catalogs
from benchmarks.methods.figures import Link, figures_of
from pricetag.accounting.bill.inputs import PriceTagInputs, QualityInput, StageInput
from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.document.records import PriceTag
from pricetag.accounting.work.break_even import NEVER
from tests.support.price_tags import FACTORS, attempt, stage

CATALOG = catalogs.read()
POWER_W = 70.0
J_PER_KWH = 3.6e6


def priced(*stages: StageInput) -> PriceTag:
    inputs = PriceTagInputs(
        run_id="6f0c0d0e-0000-4000-8000-000000000001",
        name="run",
        version=1,
        attempts=(attempt(1, "succeeded", stages, 200.0, gpu=False),),
        factors=FACTORS,
        accounting_version="4",
    )
    return build_price_tag(inputs)


def made(kind: str, seconds: float, name: str, index: int = 0) -> StageInput:
    return stage(index, kind, 100.0 * index + 5, 100.0 * index + 5 + seconds, gpu=False, name=name)


def measured(accuracy: float, inferences: int, index: int = 1) -> tuple[StageInput, StageInput]:
    start_s = 100.0 * index + 80
    figures = (
        QualityInput("accuracy", accuracy, "validation"),
        QualityInput("mcc", 0.5, "validation"),
        QualityInput("accuracy", 0.95, "train"),
        QualityInput("parameters", 1000, None),
        QualityInput("non_zero_parameters", 600, None),
        QualityInput("model_bytes", 4000, None, "bytes"),
        QualityInput("latency_p50_batch_1_s", 0.02, None, "s"),
        QualityInput("flops_per_example", None, None, reason="not countable"),
    )
    whole = stage(
        10 + index, "measure", start_s, start_s + 15, gpu=False, name="measure", quality=figures
    )
    inner = stage(
        20 + index,
        "inference",
        start_s + 1,
        start_s + 11,
        gpu=False,
        quality=(QualityInput("inferences", inferences, None),),
    )
    return whole, replace(inner, parent_key=whole.key)


TEACHER = priced(made("train", 60, "train"), *measured(0.9, 40_000, 0))
STUDENT = priced(made("distill", 30, "distill"), *measured(0.8, 100_000, 0))


def chain(**tags: PriceTag) -> list[Link]:
    return [Link(CATALOG.runs[name.replace("_", "-")], tag) for name, tag in tags.items()]


def kwh(seconds: float) -> float:
    return POWER_W * seconds / J_PER_KWH


def test_the_teachers_training_is_apart_from_the_methods_own() -> None:
    figures = figures_of(chain(teacher=TEACHER, distill_logits=STUDENT), TEACHER, "sst2")
    own, whole = figures["making_kwh"], figures["making_with_teacher_kwh"]
    assert own.value == pytest.approx(kwh(30))
    assert whole.value == pytest.approx(kwh(90))
    assert whole.low is not None
    assert whole.high is not None
    assert whole.low < kwh(90) < whole.high
    assert own.source == "modelled"


def test_carbon_is_the_stages_part_of_both_runs() -> None:
    co2e = figures_of(chain(teacher=TEACHER, distill_logits=STUDENT), TEACHER, "sst2")["co2e_kg"]
    assert co2e.value == pytest.approx(kwh(90) * 1.2 * 0.381)
    assert co2e.low is not None
    assert co2e.high is not None
    assert co2e.low < kwh(90) * 1.2 * 0.381 < co2e.high


def test_break_even_against_the_teacher() -> None:
    figures = figures_of(chain(teacher=TEACHER, distill_logits=STUDENT), TEACHER, "sst2")
    saved_j = POWER_W * 10 / 40_000 - POWER_W * 10 / 100_000
    assert figures["break_even"].value == pytest.approx(POWER_W * 30 / saved_j)


def test_a_model_that_is_not_cheaper_never_breaks_even() -> None:
    slow = priced(made("distill", 30, "distill"), *measured(0.8, 39_000, 0))
    figures = figures_of(chain(teacher=TEACHER, distill_logits=slow), TEACHER, "sst2")
    assert (figures["break_even"].value, figures["break_even"].reason) == (None, NEVER)


def test_a_teacher_trained_in_the_same_run_is_not_the_methods_own() -> None:
    tag = priced(made("train", 60, "teacher"), made("distill-pkd", 40, "pkd", 1), *measured(0.8, 9))
    figures = figures_of(chain(distill_pkd=tag), TEACHER, "sst2")
    assert figures["making_kwh"].value == pytest.approx(kwh(40))
    assert figures["making_with_teacher_kwh"].value == pytest.approx(kwh(100))


def test_all_runs_of_a_chain_are_the_methods_own_but_the_teachers() -> None:
    words = priced(made("distill-distilbert", 50, "distilbert"))
    teacher = priced(made("train", 70, "teacher"))
    last = priced(made("train", 20, "train"), *measured(0.8, 100_000, 0))
    links = chain(mlm_teacher=teacher, distilbert_words=words, distill_distilbert=last)
    figures = figures_of(links, TEACHER, "sst2")
    assert figures["making_kwh"].value == pytest.approx(kwh(70))
    assert figures["making_with_teacher_kwh"].value == pytest.approx(kwh(140))


def test_a_run_of_words_has_energies_alone() -> None:
    figures = figures_of(chain(mlm_teacher=priced(made("train", 70, "teacher"))), None, "sst2")
    assert "score" not in figures
    assert figures["making_with_teacher_kwh"].value == pytest.approx(kwh(70))
    assert figures["making_kwh"].value is None


def test_the_score_is_that_of_the_data_set() -> None:
    links = chain(teacher=TEACHER)
    sst2, cola = (figures_of(links, None, data) for data in ("sst2", "cola"))
    assert sst2["score"].value == 0.9
    assert cola["score"].value == 0.5
    assert sst2["gap"].value == pytest.approx(0.05)
    assert "gap" not in cola


def test_figures_have_a_source_or_a_reason() -> None:
    figures = figures_of(chain(teacher=TEACHER, distill_logits=STUDENT), TEACHER, "sst2")
    assert (figures["bytes"].value, figures["bytes"].source) == (4000, "counted")
    assert (figures["latency_s"].value, figures["latency_s"].source) == (0.02, "timed")
    assert (figures["flops"].value, figures["flops"].reason) == (None, "not countable")
    assert figures["packed_bytes"].reason == "not measured"
    for name, figure in figures.items():
        assert (figure.value is None) == (figure.source is None), name
        assert figure.value is not None or figure.reason, name
