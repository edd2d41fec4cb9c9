"""Codebooks, against the values of the authors' k-means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from tests.support.training import CONFIG, TRAIN, carry_out, data_set, recipe
from workers.methods.codebook import (
    centroid_gradient,
    cluster_matrix,
    compression_rate,
    k_means,
    linear_init,
)
from workers.training.formats.codebook import CodebookLinear
from workers.training.quantization.shared_weights import SharedWeights

FAST: dict[str, Any] = {"batch_size": 16, "precision": "fp32"}
GOLDEN = json.loads((Path(__file__).parents[1] / "data/golden/codebook.json").read_text())
CASES: dict[str, Any] = GOLDEN["cases"]
CLUSTERED = [name for name in CASES if name.endswith("linear_init")]


def exact(numbers: Any) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


MATRIX = exact(CASES["inputs"]["W"])
VALUES = MATRIX[MATRIX != 0]


def test_every_case_is_computed() -> None:
    assert {"inputs", *CLUSTERED} == set(CASES)


@pytest.mark.parametrize("name", CLUSTERED)
def test_centroids_and_labels_are_those_of_the_authors(name: str) -> None:
    case = CASES[name]
    start = linear_init(VALUES, 2 ** case["bits"])
    torch.testing.assert_close(start, exact(case["init"]), rtol=1e-9, atol=1e-12)
    clusters = k_means(VALUES, start)
    torch.testing.assert_close(clusters.centroids, exact(case["centroids"]), rtol=1e-9, atol=1e-12)
    assert clusters.labels.tolist() == case["assignment_of_nonzeros_row_major"]
    assert clusters.inertia == pytest.approx(case["inertia"], rel=1e-9)
    centroids, labels = cluster_matrix(MATRIX, case["bits"])
    quantized = centroids[labels.int()] * (MATRIX != 0)
    torch.testing.assert_close(quantized, exact(case["quantised"]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", CLUSTERED)
def test_empty_clusters_may_keep_their_centroids(name: str) -> None:
    case = CASES[name]
    start = linear_init(VALUES, 2 ** case["bits"])
    clusters = k_means(VALUES, start, empty="keep")
    kept = exact(case["centroids_if_empty_clusters_are_kept"])
    torch.testing.assert_close(clusters.centroids, kept, rtol=1e-9, atol=1e-12)
    assert clusters.labels.tolist() == case["assignment_if_kept"]
    counts = torch.bincount(clusters.labels, minlength=len(start))
    assert torch.nonzero(counts == 0).flatten().tolist() == case["empty_clusters_if_kept"]
    once = k_means(VALUES, start, empty="keep", iterations=1).centroids
    torch.testing.assert_close(once, exact(case["after_one_lloyd_step"]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", CLUSTERED)
def test_the_rate_of_compression_is_that_of_the_paper(name: str) -> None:
    rate = CASES[name]["compression_ratio_han"]
    assert compression_rate(rate["n"], rate["b"], rate["k"]) == pytest.approx(rate["rate"])


numbers = st.lists(st.integers(-60, 60).map(lambda tenths: tenths / 10), min_size=2, max_size=40)


@given(numbers, st.integers(1, 3))
@settings(max_examples=80, deadline=None)
def test_each_number_has_the_nearest_centroid_and_each_centroid_the_mean(
    tenths: list[float], bits: int
) -> None:
    values = exact(tenths)
    clusters = k_means(values, linear_init(values, 2**bits), empty="keep")
    distances = (values[:, None] - clusters.centroids).abs()
    own = distances.gather(1, clusters.labels[:, None])[:, 0]
    assert bool((own <= distances.amin(dim=1) + 1e-9).all())
    for number in clusters.labels.unique().tolist():  # type: ignore[no-untyped-call]
        members = values[clusters.labels == number]
        assert float(members.mean()) == pytest.approx(float(clusters.centroids[number]), abs=1e-9)


@given(numbers, st.integers(1, 4))
@settings(max_examples=80, deadline=None)
def test_zeros_stay_zeros_and_few_values_are_exact(tenths: list[float], bits: int) -> None:
    weight = exact(tenths)[None, :]
    centroids, labels = cluster_matrix(weight, bits)
    back = centroids[labels.int()] * (weight != 0)
    assert not back[weight == 0].any()
    if len({value for value in tenths if value}) <= 2**bits:
        assert torch.equal(back, weight)


def test_the_gradient_of_a_centroid_is_the_sum_over_its_members() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(6, 5).double()
    with torch.no_grad():
        layer.weight[layer.weight.abs() < 0.1] = 0.0
    model = nn.Sequential(layer)
    mask = layer.weight.detach() != 0
    labels = cluster_matrix(layer.weight.detach(), 2)[1]
    plugin = SharedWeights(model, ["0"], lambda weight: cluster_matrix(weight, 2), 1.0)
    inputs = torch.randn(7, 6, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(plugin.centroids["0"][labels.int()] * mask)
    layer(inputs).square().sum().backward()
    assert layer.weight.grad is not None
    wanted = centroid_gradient(layer.weight.grad, labels, mask, 4)
    plugin.attach(model)
    model(inputs).square().sum().backward()
    gradient = plugin.centroids["0"].grad
    assert gradient is not None
    torch.testing.assert_close(gradient, wanted)
    assert [group.parameters for group in plugin.parameter_groups(model)] == [
        [plugin.centroids["0"]]
    ]
    shared = model(inputs)
    plugin.detach(model)
    plugin.convert(model)
    assert isinstance(model[0], CodebookLinear)
    torch.testing.assert_close(model[0].float()(inputs.float()), shared.float())


def test_a_pruned_model_is_clustered_and_keeps_its_zeros(tmp_path: Path) -> None:
    data_set(tmp_path, train=200, dev=60, hard_share=0.0)
    options = {**FAST, "max_steps": None, "learning_rate": 2e-3}
    stages = [
        {**TRAIN, **options, "epochs": 5},
        {"kind": "prune", "sparsity": 0.5, "evaluate": False},
        {
            **{"kind": "quantize", "method": "codebook", "bits": 4, "recovery_epochs": 1},
            **{**FAST, "learning_rate": 1e-3},
        },
        {"kind": "measure", "min_seconds": 0.01, "batch_size": 2},
    ]
    shape = {"config": {**CONFIG, "num_hidden_layers": 2}}
    reporter = carry_out(tmp_path, recipe(*stages, model=shape))
    scores = [event["value"] for event in reporter.of("metric", name="accuracy")]
    assert scores[0] > 0.8
    assert scores[-1] > scores[0] - 0.1
    figures = {event["name"]: event["value"] for event in reporter.of("metric")}
    assert figures["encoder_sparsity"] == pytest.approx(0.5, abs=1e-3)
    assert figures["low_bit_ops_per_example"] == 0
    counted = next(event for event in reporter.of("flops") if "k-means" in event["uncounted"])
    assert counted["effective"] < counted["dense"]
    logs = [event["text"] for event in reporter.of("log")]
    assert any(text.startswith("numerics only: no kernel multiplies by labels") for text in logs)


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"bits": 9}, "bits", "must be at most 8"),
        ({"bits": 0}, "bits", "must be at least 1"),
        ({"empty_clusters": "drop"}, "empty_clusters", "must be one of: relocate, keep"),
        ({"epochs": 1}, "epochs", "not a known field"),
    ],
)
def test_what_does_not_fit_is_rejected_with_its_field(
    changes: dict[str, Any], field: str, message: str
) -> None:
    stage = {"kind": "quantize", "method": "codebook", **changes}
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe(TRAIN, stage))
    assert caught.value.field == f"recipe.stages.1.{field}"
    assert message in caught.value.message
