"""Early exit as a stage: trained, published, measured, pruned and quantized afterwards."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BertForSequenceClassification,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    PreTrainedModel,
)

from pricetag.recipes import parse_recipe, traits_of
from pricetag.recipes.errors import RecipeError
from pricetag.recipes.methods.measure import Measure
from pricetag.recipes.methods.train_early_exit import TrainEarlyExit, layers_misfit
from tests.support.recording import RecordingReporter
from tests.support.training import CONFIG, TRAIN, carry_out, context, data_set, job, recipe
from workers.job.pipeline import run
from workers.job.reporter import JobError
from workers.training.cost.in_use import UseOnTexts
from workers.training.data.tokens import Encoded, TokenData
from workers.training.formats import registry
from workers.training.formats.exits import Exits, exits_of
from workers.training.formats.profile import ModelProfile, profile
from workers.training.model.models import for_use

EXITS: dict[str, Any] = {
    **TRAIN,
    **{"kind": "train", "method": "early_exit", "layers": [0, 1, 3], "max_steps": 24},
    **{"threshold": 0.7, "thresholds": [0.5, 0.6, 0.7, 0.9], "learning_rate": 5e-3},
    **{"calibration_share": 0.3, "precision": "fp32"},
}
TOKENS = 8
"""Tokens of each text: six words, [CLS] and [SEP]."""


def opinions(folder: Path, **sizes: int) -> Path:
    """A data root of short texts; most of them say which class they are of."""
    draw = random.Random(0)
    (folder / "data").mkdir(parents=True)
    for split, count in sizes.items():
        lines = ["sentence\tlabel"]
        for number in range(count):
            opinion = ["good", "bad"][number % 2] if draw.random() < 0.7 else "so"
            words = [draw.choice(["the", "film", "story", "is"]) for _ in range(3)]
            lines.append(" ".join([*words, *[opinion] * 3]) + f"\t{number % 2}")
        (folder / "data" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RecordingReporter]:
    root = opinions(tmp_path_factory.mktemp("exits"), train=96, dev=40)
    return root, carry_out(root, recipe(EXITS))


def figures(reporter: RecordingReporter) -> dict[str, float]:
    return {event["name"]: event["value"] for event in reporter.of("metric", quality=True)}


def published(root: Path) -> tuple[PreTrainedModel, Exits]:
    model = registry.load(root / "work" / "stage-00" / "model")
    exits = exits_of(model)
    assert exits is not None
    return model, exits


def test_the_curve_is_that_of_the_published_model(trained: tuple[Path, RecordingReporter]) -> None:
    """Every point: the published model, reloaded and run with that threshold on the same split."""
    root, reporter = trained
    reported = figures(reporter)
    model, exits = published(root)
    assert (exits.layers, exits.threshold) == ([0, 1, 3], 0.7)
    assert [reported[f"temperature_layer_{n}"] for n in exits.layers] == exits.temperatures
    tokenizer = AutoTokenizer.from_pretrained(root / "work" / "stage-00" / "model")
    rows = [line.split("\t") for line in (root / "data/dev.tsv").read_text().splitlines()[1:]]
    profiles = profile(model).exits
    for threshold in EXITS["thresholds"]:
        exits.threshold = threshold
        right, flops, left = 0, 0.0, [0, 0, 0]
        for text, label in rows:
            ids = tokenizer(text, return_tensors="pt")["input_ids"]
            assert ids.shape == (1, TOKENS)
            with torch.no_grad():
                right += int(model(input_ids=ids).logits.argmax()) == int(label)
            assert exits.left_at is not None
            number = int(exits.left_at[0])
            left[number] += 1
            flops += profiles[number].forward(TOKENS)
        at = f"at_{threshold:g}"
        assert reported[f"exit_accuracy_{at}"] == pytest.approx(right / len(rows))
        assert reported[f"exit_flops_per_example_{at}"] == pytest.approx(flops / len(rows))
        shares = [reported[f"exit_share_{at}_layer_{n}"] for n in exits.layers]
        assert shares == pytest.approx([count / len(rows) for count in left])
    assert reported["accuracy"] == reported["exit_accuracy_at_0.7"]


def test_operations_are_the_closed_form(trained: tuple[Path, RecordingReporter]) -> None:
    """Training, temperatures and curve compute all exits; the evaluation what the exits leave."""
    root, reporter = trained
    model, exits = published(root)
    counted = profile(model)
    last = {event["key"]: event["dense"] for event in reporter.of("flops")}
    training, evaluation = last.values()
    aside = round(0.3 * 96)
    epoch = 96 - aside  # nine steps, of which the last has three examples
    passes = 3 * (2 * epoch + 6 * 8) + aside + 40
    assert training == pytest.approx(passes * counted.flops.forward(TOKENS), rel=1e-12)
    reported = figures(reporter)
    counts = [40 * reported[f"exit_share_at_0.7_layer_{n}"] for n in exits.layers]
    assert 0 < counts[-1] < 40
    expected = sum(n * each.forward(TOKENS) for n, each in zip(counts, counted.exits, strict=True))
    assert evaluation == pytest.approx(expected, rel=1e-12)


def test_a_pretrained_encoder_without_a_head_gets_exits(
    trained: tuple[Path, RecordingReporter],
) -> None:
    root, _ = trained
    tokenizer = AutoTokenizer.from_pretrained(root / "work" / "stage-00" / "model")
    shape = AutoConfig.from_pretrained(root / "work" / "stage-00" / "model")
    counts = []
    for name, made in (("encoder", BertModel), ("classifier", BertForSequenceClassification)):
        made(shape).save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
        described = recipe({**EXITS, "max_steps": 1}, model=name)
        reporter = carry_out(
            root, described, work_dir=root / f"work-{name}", artifacts_dir=root / f"art-{name}"
        )
        counts.append([event["dense"] for event in reporter.of("flops")])
    assert counts[0] == counts[1] != []
    assert exits_of(registry.load(root / "work-encoder" / "stage-00" / "model")) is not None


def test_examples_for_the_temperatures_are_not_trained_on(
    trained: tuple[Path, RecordingReporter],
) -> None:
    _, reporter = trained
    (card,) = [event["card"] for event in reporter.of("artifact") if event["card"]]
    assert card["facts"]["calibration_examples"] == round(0.3 * 96)
    epochs = next(e["value"] for e in reporter.of("metric") if e["name"] == "epochs")
    assert epochs == pytest.approx(2 + 6 / 9)  # of 67 examples in batches of eight


def test_the_parts_of_the_examples_are_disjoint() -> None:
    data = TokenData(Encoded([[n] for n in range(10)], [[n] for n in range(10)]), list(range(10)))
    some, others = data.part([1, 4]), data.part([0, 2, 3])
    assert [some[n]["labels"] for n in range(len(some))] == [1, 4]
    assert [some[n]["index"] for n in range(len(some))] == [0, 1]
    assert [others[n]["token_type_ids"] for n in range(len(others))] == [[0], [2], [3]]
    assert others.lengths == [1, 1, 1]


@pytest.mark.parametrize(
    ("layers", "depth", "exits"),
    [
        (None, 12, [0, 3, 5, 11]),
        (None, 24, [0, 4, 12, 23]),
        (None, 6, [0, 1, 3, 5]),
        (None, 3, [0, 1, 2]),
        ([1, 5], 6, [1, 5]),
    ],
)
def test_layers_with_classifiers(layers: list[int] | None, depth: int, exits: list[int]) -> None:
    params = TrainEarlyExit(method="early_exit", layers=layers)
    assert params.exit_layers(depth) == exits
    assert layers_misfit(params, depth) is None


def shaped(depth: int) -> dict[str, Any]:
    return {"config": {**CONFIG, "num_hidden_layers": depth}}


@pytest.mark.parametrize(
    ("stage", "changes", "field", "message"),
    [
        ({}, {"model": shaped(2)}, "layers", "the model has 2 layers: exits need three or more"),
        ({}, {"model": shaped(1)}, "layers", "the model has 1 layer: exits need three or more"),
        ({"layers": [0, 1]}, {"model": "base"}, "layers", "two layers has too few"),
        (
            {"layers": [0, 2]},
            {"model": shaped(4)},
            "layers",
            "must end with the model's last layer, 3",
        ),
        ({"layers": [0, 4]}, {"model": shaped(4)}, "layers", "layers 0 to 3, not 4"),
        ({"layers": [2, 0, 3]}, {}, "layers", "must rise"),
        ({"layers": [0, 0, 3]}, {}, "layers", "must rise"),
        ({"layers": [3]}, {}, "layers", "at least 2"),
        ({"layers": [-1, 3]}, {}, "layers", "at least 0"),
        ({"thresholds": [0.9, 0.8]}, {}, "thresholds", "must rise"),
        ({"threshold": 1.5}, {}, "threshold", "at most 1"),
        ({"calibration_share": 0.0}, {}, "calibration_share", "greater than 0"),
        ({}, {"task": "regression"}, "kind", "regression"),
        ({}, {"task": "masked_lm"}, "kind", "masked_lm"),
    ],
)
def test_bad_combinations_are_rejected_when_the_run_is_submitted(
    stage: dict[str, Any], changes: dict[str, Any], field: str, message: str
) -> None:
    described = recipe({"kind": "train", "method": "early_exit", **stage}, **changes)
    with pytest.raises(RecipeError) as raised:
        parse_recipe(described)
    errors = [(error.field, error.message) for error in raised.value.errors]
    assert any(field in where and message in text for where, text in errors), errors


@pytest.mark.parametrize(
    ("later", "message"),
    [
        (EXITS, "the model already has exits"),
        ({"kind": "distill", "student": {"layers": 2}}, "it has early exits"),
    ],
)
def test_stages_that_do_not_fit_a_model_with_exits_are_rejected(
    later: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_recipe(recipe(EXITS, later))


def test_the_worker_rejects_what_only_it_can_see(tmp_path: Path) -> None:
    data_set(tmp_path, train=24, dev=8)
    carry_out(tmp_path, recipe({**TRAIN, "max_steps": 1, "evaluate": False}))
    (tmp_path / "work/stage-00/model").rename(tmp_path / "base")
    for layers, message in (([0, 2], "must end with"), ([0, 7], "not 7")):
        with pytest.raises(JobError, match=message) as raised:
            carry_out(tmp_path, recipe({**EXITS, "layers": layers}, model="base"))
        assert raised.value.field == "recipe.stages.0.layers"


def test_an_encoder_without_a_pooler_is_rejected(tmp_path: Path) -> None:
    data_set(tmp_path, train=24, dev=8)
    carry_out(tmp_path, recipe({**TRAIN, "max_steps": 1, "evaluate": False}))
    source = tmp_path / "work/stage-00/model"
    shape = DistilBertConfig(vocab_size=300, dim=32, n_layers=4, n_heads=4, hidden_dim=48)
    DistilBertModel(shape).save_pretrained(tmp_path / "distilbert")
    AutoTokenizer.from_pretrained(source).save_pretrained(tmp_path / "distilbert")
    with pytest.raises(JobError, match="distilbert model has no tanh pooler") as raised:
        carry_out(tmp_path, recipe({**EXITS, "evaluate": False}, model="distilbert"))
    assert raised.value.code == "bad-exits"


# ---- measured ----

MEASURE = {"kind": "measure", "batch_size": 5, "sequence_length": 12, "min_seconds": 0.01}


@pytest.fixture(scope="module")
def measured(trained: tuple[Path, RecordingReporter]) -> tuple[ModelProfile, RecordingReporter]:
    root, _ = trained
    shutil.copytree(root / "work" / "stage-00" / "model", root / "exiting")
    stage = {**MEASURE, "thresholds": [0.5, 0.7, 1.0]}
    described = recipe(stage, model="exiting")
    reporter = carry_out(root, described, work_dir=root / "measured", artifacts_dir=root / "a")
    return profile(registry.load(root / "exiting")), reporter


def inner(reporter: RecordingReporter) -> list[dict[str, float]]:
    """The figures of each stage inside the measurement, in order, with its operations."""
    keys = [e["key"] for e in reporter.of("stage_start") if e["parent"] is not None]
    flops = {e["key"]: e["dense"] for e in reporter.of("flops")}
    return [
        {
            **{
                e["name"]: e["value"]
                for e in reporter.of("metric", quality=True)
                if e["key"] == key
            },
            "dense": flops[key],
        }
        for key in keys
    ]


def test_measure_meters_every_threshold_at_batch_1_and_compacted(
    measured: tuple[ModelProfile, RecordingReporter],
) -> None:
    """A stage for each, whose operations are those of the exits that its texts took."""
    counted, reporter = measured
    _, *parts = inner(reporter)
    assert [(part["threshold"], part["batch_size"]) for part in parts] == [
        (threshold, batch) for threshold in (0.5, 0.7, 1.0) for batch in (1, 5)
    ]
    for part in parts:
        shares = [part[f"exit_share_layer_{layer}"] for layer in (0, 1, 3)]
        assert sum(shares) == pytest.approx(1)
        pairs = zip(shares, counted.exits, strict=True)
        each = sum(share * exit.forward(12) for share, exit in pairs)
        assert part["flops_per_example"] == pytest.approx(each, rel=1e-9)
        assert part["dense"] == pytest.approx(each * part["inferences"], rel=1e-9)
        assert part["inferences"] % part["batch_size"] == 0
        assert part["throughput_per_s"] > 0
        assert part[f"latency_p50_batch_{part['batch_size']:.0f}_s"] > 0
    assert parts[0]["exit_share_layer_0"] == 1.0
    assert parts[0]["flops_per_example"] < parts[2]["flops_per_example"]


def test_the_figures_of_the_model_itself_are_at_its_own_threshold(
    trained: tuple[Path, RecordingReporter], measured: tuple[ModelProfile, RecordingReporter]
) -> None:
    counted, reporter = measured
    own = figures_of_the_stage(reporter)
    assert own["accuracy"] == figures(trained[1])["accuracy"]
    assert own["parameters"] == counted.weights.parameters
    assert own["flops_per_example"] < counted.flops_per_sequence(12)
    accuracy = {part["threshold"]: part["accuracy"] for part in inner(reporter)[1:]}
    reported = figures(trained[1])
    assert {c: accuracy[c] for c in (0.5, 0.7)} == {
        c: reported[f"exit_accuracy_at_{c:g}"] for c in (0.5, 0.7)
    }


def figures_of_the_stage(reporter: RecordingReporter) -> dict[str, float]:
    (stage,) = [e["key"] for e in reporter.of("stage_start") if e["parent"] is None]
    events = reporter.of("metric", quality=True)
    return {event["name"]: event["value"] for event in events if event["key"] == stage}


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_a_batch_in_use_is_filled_with_texts(
    trained: tuple[Path, RecordingReporter], batch_size: int
) -> None:
    """Also where the split has fewer texts than a batch."""
    root, _ = trained
    folder = root / "work" / "stage-00" / "model"
    opinions(root / f"few-{batch_size}", dev=2)
    data = {"validation": f"few-{batch_size}/data/dev.tsv"}
    described = recipe(MEASURE, data=data, model="exiting")
    stage = context(root, described, folder)
    loaded = for_use(stage)
    use = UseOnTexts(stage, loaded, "validation", 12, torch.device("cpu"))
    call = use.call(batch_size)
    for _ in range(3):
        assert call().logits.shape == (batch_size, 2)  # type: ignore[attr-defined]
    assert sum(use.shares().values()) == pytest.approx(1)


def test_thresholds_of_a_model_without_exits_are_rejected(tmp_path: Path) -> None:
    stage = {**MEASURE, "thresholds": [0.5]}
    with pytest.raises(RecipeError, match="has no early exits"):
        parse_recipe(recipe(TRAIN, stage))
    parse_recipe(recipe(EXITS, stage))
    for wrong in ([], [0.9, 0.5], [1.5]):
        with pytest.raises(RecipeError, match="thresholds"):
            parse_recipe(recipe(EXITS, {**stage, "thresholds": wrong}))
    data_set(tmp_path, train=24, dev=8)
    carry_out(tmp_path, recipe({**TRAIN, "max_steps": 1, "evaluate": False}))
    (tmp_path / "work/stage-00/model").rename(tmp_path / "base")
    with pytest.raises(JobError, match="has no early exits") as raised:
        carry_out(tmp_path, recipe(stage, model="base"))
    assert raised.value.field == "recipe.stages.0.thresholds"


def test_the_work_of_a_measurement_includes_its_thresholds() -> None:
    work = traits_of(Measure(min_seconds=2.0)).work
    assert work(Measure(min_seconds=2.0), 1).seconds == 2.0
    assert work(Measure(min_seconds=2.0, thresholds=[0.5, 0.9]), 1).seconds == 10.0
    assert work(Measure(min_seconds=2.0, thresholds=[0.5, 0.9], batch_size=1), 1).seconds == 6.0


# ---- later stages ----


@pytest.fixture(scope="module")
def hasty(trained: tuple[Path, RecordingReporter]) -> Path:
    """A data root with a model whose examples all leave at the first exit."""
    root, _ = trained
    folder = root / "hasty"
    shutil.copytree(root / "work" / "stage-00" / "model", folder)
    note = json.loads((folder / "exits.json").read_text())
    (folder / "exits.json").write_text(json.dumps({**note, "threshold": 0.0}))
    return root


@pytest.mark.parametrize(
    "stage",
    [
        {"kind": "quantize", "method": "int8_static"},
        {"kind": "prune", "method": "heads", "share": 0.25, "steps": 1, "recovery_epochs": 0},
        {"kind": "prune", "method": "snip", "sparsity": 0.5, "recovery_epochs": 0},
        {"kind": "train", "max_steps": 2, "batch_size": 8, "evaluate": False},
    ],
    ids=lambda stage: stage.get("method", "train"),
)
def test_later_stages_use_all_layers_and_keep_the_exits(
    hasty: Path, stage: dict[str, Any], tmp_path: Path
) -> None:
    described = recipe(stage, {**MEASURE, "thresholds": [0.9]}, model="hasty")
    folders = {"work_dir": tmp_path / "work", "artifacts_dir": tmp_path / "artifacts"}
    run(replace(job(hasty, described), **folders), RecordingReporter())  # type: ignore[arg-type]
    model, exits = published(tmp_path)
    assert (exits.layers, exits.threshold) == ([0, 1, 3], 0.0)
    before = registry.load(hasty / "hasty").state_dict()
    name = "classifier.weight"
    if stage["kind"] == "train":  # the last classifier is trained, though nothing reaches it
        assert not torch.equal(model.state_dict()[name], before[name])
