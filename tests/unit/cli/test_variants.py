from __future__ import annotations

import random
from dataclasses import replace

import pytest

from pricetag.accounting.bill.inputs import Measurement, PriceTagInputs, QualityInput, StageInput
from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.document.records import PriceTag, QualityTag
from pricetag.accounting.quantity.uncertainty import counter_edge_std_ratio
from pricetag.tag.figure import Figure
from pricetag.tag.variants import (
    Variant,
    break_even_inferences,
    inference_kwh,
    is_never,
    making_kwh,
    variants,
)
from tests.support.price_tags import (
    GPU,
    attempt,
    compressed_run,
    failed_run,
    stage,
    window,
)

SAVED_J = 3700 / 40_000 - 3700 / 100_000  # of an inference, by the quantized model


def with_stages(inputs: PriceTagInputs, number: int, stages: tuple[StageInput, ...]) -> PriceTag:
    attempts = [
        replace(attempt, stages=stages) if attempt.number == number else attempt
        for attempt in inputs.attempts
    ]
    return build_price_tag(replace(inputs, attempts=tuple(attempts)))


def paid_back(made: PriceTag) -> Figure:
    first, *_, last = variants(made)
    return break_even_inferences(made, first, last)


@pytest.fixture(scope="module")
def made() -> PriceTag:
    return build_price_tag(compressed_run())


def test_variants_state_which_stages_made_them(made: PriceTag) -> None:
    first, second = variants(made)
    assert (first.label, first.stage, first.made_by) == ("after train stage", "1-measure", ())
    assert (second.label, second.made_by) == ("after quantize stage", ("3-quantize",))
    assert second.scores[("validation", "accuracy")].value == 0.858
    assert inference_kwh(second).value == pytest.approx(3700 / 100 / 3.6e6)
    assert making_kwh(made, second).value == pytest.approx(370 / 3.6e6)
    assert making_kwh(made, first).reason == "no stage derived it from the first variant"
    assert second.shown() == {
        "parameters",
        "model_bytes",
        "latency_p50_batch_1_s",
        "throughput_per_s",
        "accuracy",
    }


def test_a_model_with_early_exits_is_a_variant_at_each_threshold() -> None:
    """What does not depend on the threshold is that of the measurement itself."""
    inputs = compressed_run()
    *before, last, own = inputs.attempts[1].stages
    quick = replace(
        own,
        index=6,
        quality=(
            QualityInput("inferences", 400_000, None),
            QualityInput("threshold", 0.7, None),
            QualityInput("batch_size", 1, None),
            QualityInput("throughput_per_s", 9.0, None, "1/s"),
            QualityInput("accuracy", 0.8, "validation"),
        ),
    )
    made = with_stages(inputs, 2, (*before, last, own, quick))
    first, second, third = variants(made)
    assert third.label == f"{second.label}, threshold 0.7, batch 1"
    assert (second.inferences, third.inferences) == (100_000, 400_000)
    assert inference_kwh(second).value == pytest.approx(3700 / 100 / 3.6e6)
    assert inference_kwh(third).value == pytest.approx(3700 / 400 / 3.6e6)
    assert {name: third.metrics[name].value for name in third.metrics} == {
        **{"parameters": 22_713_216, "model_bytes": 23_068_672},
        **{"inferences": 400_000, "throughput_per_s": 9.0},
    }
    assert third.scores[("validation", "accuracy")].value == 0.8
    assert second.scores[("validation", "accuracy")].value == 0.858
    assert third.made_by == second.made_by
    assert first.label == "after train stage"


def test_break_even_is_the_energy_of_making_over_the_saving(made: PriceTag) -> None:
    break_even = paid_back(made)
    assert break_even.value == pytest.approx(370 / SAVED_J)
    assert break_even.unit == "inferences"
    assert break_even.source == "modelled"


def test_only_errors_that_do_not_cancel_are_in_the_interval(made: PriceTag) -> None:
    """300 W of 370 by a counter with edges; all gains are the same before, after and between."""
    break_even = paid_back(made)
    rng = random.Random(5)

    def metered_j(duration_s: float) -> float:
        edges = 300 * duration_s * counter_edge_std_ratio(duration_s)
        return 370 * duration_s + rng.gauss(0, edges)

    drawn = sorted(
        metered_j(1.0) / (metered_j(10.0) / 40_000 - metered_j(10.0) / 100_000)
        for _ in range(40_000)
    )
    assert break_even.low == pytest.approx(drawn[1_000], rel=0.005)
    assert break_even.high == pytest.approx(drawn[39_000], rel=0.005)


def test_a_counter_that_did_not_tick_while_making_leaves_its_bound() -> None:
    inputs = compressed_run()
    stages = inputs.attempts[1].stages
    host = stage(3, "quantize", 80, 80.5).measurements[1:]
    still = Measurement(GPU.id, window(80, 80.5, 0.0))
    quick = stage(3, "quantize", 80, 80.5, measurements=(still, *host))
    break_even = paid_back(with_stages(inputs, 2, (*stages[:3], quick, *stages[4:])))
    # 70 W of the host for certain, and nothing to 700 W of the accelerator, for half a second.
    assert break_even.value == pytest.approx(35 / SAVED_J, rel=1e-6)
    assert break_even.high == pytest.approx((35 + 350) / SAVED_J, rel=0.02)


def test_a_failed_attempt_at_making_is_paid_back_too() -> None:
    inputs = compressed_run()
    tried = (*inputs.attempts[0].stages, stage(3, "quantize", 35, 37, status="failed"))
    assert paid_back(with_stages(inputs, 1, tried)).value == pytest.approx(3 * 370 / SAVED_J)


def test_a_reused_stage_costs_nothing_again() -> None:
    inputs = compressed_run()
    tried = (*inputs.attempts[0].stages, stage(3, "quantize", 35, 37, status="reused"))
    assert paid_back(with_stages(inputs, 1, tried)).value == pytest.approx(370 / SAVED_J)


def test_the_making_of_the_first_variant_is_not_counted_but_all_after_it_is() -> None:
    inputs = compressed_run()
    stages = inputs.attempts[1].stages
    later = [replace(s, index=s.index + 2) for s in stages[4:]]
    between = (stage(4, "prune", 81, 83), stage(5, "evaluate", 83, 90))
    made = with_stages(inputs, 2, (*stages[:4], *between, *later))
    assert variants(made)[1].label == "after prune stage"
    assert variants(made)[1].made_by == ("3-quantize", "4-prune")
    assert paid_back(made).value == pytest.approx(3 * 370 / SAVED_J)


def test_an_inference_that_uses_more_never_pays_back() -> None:
    inputs = compressed_run()
    *stages, last = inputs.attempts[1].stages
    slower = replace(last, quality=(QualityInput("inferences", 30_000, None),))
    break_even = paid_back(with_stages(inputs, 2, (*stages, slower)))
    assert is_never(break_even)
    assert break_even.value is None


def test_variants_metered_differently_are_not_compared() -> None:
    inputs = compressed_run()
    *stages, last = inputs.attempts[1].stages
    host_alone = replace(last, measurements=last.measurements[1:])
    break_even = paid_back(with_stages(inputs, 2, (*stages, host_alone)))
    assert break_even.value is None
    assert break_even.reason == "Repeated inference was metered for only part of its run time"
    unmetered = replace(last, measurements=())
    break_even = paid_back(with_stages(inputs, 2, (*stages, unmetered)))
    assert str(break_even.reason).startswith(
        "the energy of Repeated inference is unknown: gpu:GPU-1"
    )
    assert not is_never(break_even)


def test_another_machine_s_meters_are_not_compared(made: PriceTag) -> None:
    first, second = variants(made)
    assert second.metered is not None
    energy = second.metered.energy
    others = tuple(replace(c, name=f"another {c.name}") for c in energy.components)
    elsewhere = replace(second.metered, energy=replace(energy, components=others))
    moved = replace(second, metered=elsewhere)
    reason = break_even_inferences(made, first, moved).reason
    assert reason == "the stages were not metered by the same components"


def test_there_is_no_break_even_without_inferences(made: PriceTag) -> None:
    first, second = variants(made)
    bare = replace(second, inferences=None, metered=None)
    assert break_even_inferences(made, first, bare).reason == "no inference was metered"
    assert inference_kwh(bare).value is None
    twice = replace(second, made_by=())
    assert (
        break_even_inferences(made, first, twice).reason
        == "no stage derived it from the first variant"
    )


def test_a_later_attempt_that_reuses_a_measurement_keeps_it() -> None:
    inputs = compressed_run()
    again = attempt(
        3, "succeeded", tuple(stage(i, "measure", i, i, status="reused") for i in (1, 4)), 10.0
    )
    measured = variants(build_price_tag(replace(inputs, attempts=(*inputs.attempts, again))))
    assert [(v.stage, v.attempt) for v in measured] == [("1-measure", 2), ("4-measure", 2)]


def test_a_run_without_measure_stages_has_no_variant() -> None:
    assert variants(build_price_tag(failed_run())) == []


def test_a_figure_uses_the_best_available_metric() -> None:
    names = ("latency_p50_batch_8_s", "dense_bytes", "bytes")
    metrics = {name: QualityTag(name, 1.0, None, "1", None, 1) for name in names}
    variant = Variant("x", "1", 1, (), metrics, {})
    latency, size = metrics["latency_p50_batch_8_s"], metrics["dense_bytes"]
    assert variant.metric(("latency_p50_batch_1_s", "latency_p50*")) == latency
    assert variant.metric(("packed_bytes", "dense_bytes", "bytes")) == size
    assert variant.metric(("flops",)) is None
