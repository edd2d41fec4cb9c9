"""Pre-training by the detection of replaced tokens, against values of its authors' formulas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoConfig, BertConfig, BertForMaskedLM

from pricetag.recipes import REGISTRY, parse_recipe
from pricetag.recipes.errors import RecipeError
from pricetag.recipes.methods.pretrain_electra import PretrainElectra
from pricetag.recipes.shapes import Shape
from tests.support.texts import SHALLOW, text_files, text_recipe
from tests.support.training import TRAIN, carry_out, counted_once, data_set, recipe
from workers.job.request import JobError
from workers.methods import electra
from workers.methods.electra import (
    DetectionHead,
    Electra,
    detection_losses,
    generator_loss,
    replace_tokens,
    sample,
)
from workers.training.cost.flops import FlopProfile, profile
from workers.training.model.generator import generator_config, generator_of, require_shareable
from workers.training.model.heads import MASKED_LM
from workers.training.plugin import BatchPlace
from workers.training.tasks.language import IGNORED

GOLDEN = json.loads(
    (Path(__file__).parents[1] / "data" / "golden" / "electra.json").read_text(encoding="utf-8")
)["cases"]
INPUTS = {name: torch.tensor(value) for name, value in GOLDEN["inputs"].items()}
NOTHING = FlopProfile(0, 0, 0, "")
STAGE: dict[str, Any] = {
    **{"kind": "pretrain", "method": "electra", "max_steps": 3, "batch_size": 8},
    **{"max_length": 16, "precision": "fp32", "learning_rate": 1e-3},
}


def close(actual: torch.Tensor, expected: Any) -> None:
    wanted = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(actual.double(), wanted, rtol=1e-5, atol=1e-12)


# ---- the authors' values ----


def corrupted() -> tuple[torch.Tensor, torch.Tensor]:
    is_replaced = torch.zeros_like(INPUTS["input_ids"], dtype=torch.bool)
    samples = INPUTS["input_ids"].clone()
    for row in range(len(is_replaced)):
        for number, place in enumerate(INPUTS["masked_positions"][row]):
            if INPUTS["masked_lm_weights"][row, number]:
                is_replaced[row, place] = True
                samples[row, place] = INPUTS["sampled_ids"][row, number]
    return replace_tokens(INPUTS["input_ids"], is_replaced, samples)


def test_losses_labels_and_gradient_are_the_authors() -> None:
    generator = generator_loss(
        INPUTS["generator_logits"].double(), INPUTS["masked_lm_ids"], INPUTS["masked_lm_weights"]
    )
    close(generator, GOLDEN["mlm_loss"])
    ids, replaced = corrupted()
    assert ids.tolist() == GOLDEN["updated_input_ids"]
    assert replaced.long().tolist() == GOLDEN["is_fake"]
    logits = INPUTS["discriminator_logits"].double().requires_grad_()
    loss, of_texts = detection_losses(logits, replaced, INPUTS["input_mask"])
    close(loss, GOLDEN["disc_loss"])
    close(of_texts, GOLDEN["disc_per_example"])
    torch.autograd.backward(loss)
    assert logits.grad is not None
    close(logits.grad, GOLDEN["grad_discriminator_logits_of_disc_loss"])
    assert (logits > 0).long().tolist() == GOLDEN["disc_preds"]
    close(1 * generator + 50 * loss, GOLDEN["total"])


# ---- properties ----


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4), st.integers(1, 9), st.integers(2, 6), st.integers(0, 2**31))
def test_only_chosen_tokens_are_replaced_and_equal_ones_are_original(
    rows: int, width: int, vocabulary: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    ids, samples = (torch.randint(vocabulary, (rows, width), generator=generator) for _ in range(2))
    predicted = torch.rand(rows, width, generator=generator) < 0.5
    result, replaced = replace_tokens(ids, predicted, samples)
    assert torch.equal(result[~predicted], ids[~predicted])
    assert torch.equal(result[predicted], samples[predicted])
    assert torch.equal(replaced, predicted & (samples != ids))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-8, 8), min_size=1, max_size=7))
def test_evenly_spread_numbers_draw_tokens_in_proportion(scores: list[float]) -> None:
    count = 4000
    logits = torch.tensor(scores, dtype=torch.float64)
    uniforms = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    drawn = sample(logits.expand(count, -1), uniforms)
    shares = torch.bincount(drawn, minlength=len(scores)).double() / count
    torch.testing.assert_close(shares, logits.softmax(-1), rtol=0, atol=2 / count)


def test_tokens_of_no_probability_are_never_drawn() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf]]).expand(3, -1)
    assert sample(logits, torch.tensor([0.0, 0.5, 1 - 2**-24])).tolist() == [1, 1, 1]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**31))
def test_padding_is_not_detected(padding: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 6, generator=generator, dtype=torch.float64)
    replaced = torch.rand(2, 6, generator=generator) < 0.3
    whole, _ = detection_losses(logits, replaced, torch.ones(2, 6))
    more = torch.nn.functional.pad(logits, (0, padding), value=7.0)
    labels = torch.nn.functional.pad(replaced, (0, padding), value=True)
    mask = torch.nn.functional.pad(torch.ones(2, 6), (0, padding))
    padded, _ = detection_losses(more, labels, mask)
    torch.testing.assert_close(padded, whole)


# ---- the plug-in ----


def bert(**changes: Any) -> BertForMaskedLM:
    torch.manual_seed(0)
    shape = BertConfig(**{**SHALLOW, "vocab_size": 60, **changes})
    return BertForMaskedLM(shape)


def attached(model: BertForMaskedLM, counted: FlopProfile = NOTHING) -> Electra:
    shape = generator_config(model.config, 0.5, 1.0)
    head = DetectionHead(model.config.hidden_size, "gelu")
    plugin = Electra(generator_of(model, shape, 0), counted, head, "fp32")
    plugin.attach(model)
    return plugin


def a_batch() -> dict[str, torch.Tensor]:
    ids = torch.arange(5, 29).reshape(3, 8)
    masked, labels = ids.clone(), torch.full_like(ids, IGNORED)
    for row, place in ((0, 1), (0, 5), (1, 2), (2, 7)):
        labels[row, place] = ids[row, place]
        masked[row, place] = 4
    masked[2, 7] = ids[2, 7]  # one of the tokens that the generator sees
    return {"input_ids": masked, "attention_mask": torch.ones_like(ids), "labels": labels}


def test_embeddings_are_shared_and_the_detection_does_not_train_the_generator() -> None:
    model = bert()
    plugin = attached(model)
    embeddings: Any = model.bert.embeddings
    assert plugin.generator.electra.embeddings is embeddings
    assert plugin.generator.generator_lm_head.weight is embeddings.word_embeddings.weight
    batch = plugin.change_batch(a_batch(), BatchPlace(0, 0, 0, 1))
    own = {name: p for name, p in plugin.generator.named_parameters() if "embeddings." not in name}
    states = model.bert(batch["input_ids"], batch["attention_mask"]).last_hidden_state
    logits = plugin.head(states)
    loss, _ = detection_losses(logits, batch["replaced"], batch["attention_mask"])
    torch.autograd.backward(loss)
    assert embeddings.word_embeddings.weight.grad is not None
    assert {name for name, parameter in own.items() if parameter.grad is not None} == set()
    torch.autograd.backward(plugin.loss)
    assert {name for name, parameter in own.items() if parameter.grad is None} == set()


def test_a_batch_has_the_generators_tokens_at_predicted_places_alone() -> None:
    plugin = attached(bert())
    batch = a_batch()
    predicted = batch["labels"] != IGNORED
    original = torch.where(predicted, batch["labels"], batch["input_ids"])
    changed = [
        plugin.change_batch(batch, BatchPlace(step, 0, rank, 1))["input_ids"]
        for step, rank in ((0, 0), (0, 0), (1, 0), (0, 1))
    ]
    for ids in changed:
        assert torch.equal(ids[~predicted], original[~predicted])
    assert not torch.equal(changed[0], changed[2])
    assert not torch.equal(changed[0], changed[3])


def test_draws_depend_on_the_place_of_the_batch_alone() -> None:
    draws = []
    for others in (0, 3):
        plugin = attached(bert(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
        torch.rand(others)
        draws.append(plugin.change_batch(a_batch(), BatchPlace(4, 1, 0, 9))["input_ids"])
    assert torch.equal(*draws)


def test_the_state_is_what_the_models_checkpoint_does_not_have() -> None:
    plugin, other = attached(bert()), attached(bert())
    state = {name: tensor + 1 for name, tensor in plugin.state().items()}
    assert not any("embeddings." in name or "lm_head.weight" in name for name in state)
    other.restore(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in other.state().items())


@pytest.mark.parametrize(
    ("size", "layers", "expected"),
    [
        (0.25, 1.0, (192, 12, 3, 768)),
        (1 / 3, 1.0, (256, 12, 4, 1024)),
        (0.5, 0.5, (384, 6, 6, 1536)),
        (0.01, 0.01, (8, 1, 1, 31)),
    ],
)
def test_sizes_of_the_generator(size: float, layers: float, expected: tuple[int, ...]) -> None:
    made = generator_config(BertConfig(), size, layers)
    sizes = (
        made.hidden_size,
        made.num_hidden_layers,
        made.num_attention_heads,
        made.intermediate_size,
    )
    assert sizes == expected
    assert made.embedding_size == 768


# ---- operations ----


def layers_flops(length: int, layers: int, hidden: int, inner: int) -> int:
    a_layer = 2 * length * (4 * hidden**2 + 2 * hidden * inner) + 4 * length**2 * hidden
    return layers * a_layer


def test_operations_of_generator_and_head_are_the_closed_form() -> None:
    model = bert()
    shape = generator_config(model.config, 0.5, 1.0)
    plugin = attached(model, profile(shape, MASKED_LM))
    plugin.change_batch(a_batch(), BatchPlace(0, 0, 0, 1))
    wide, hidden, vocabulary = 16, 8, 60
    generator = 3 * (2 * 8 * wide * hidden + layers_flops(8, 2, hidden, 12))
    generator += 4 * 2 * (hidden * wide + wide * vocabulary)
    head = 3 * 8 * 2 * (wide**2 + wide)
    assert plugin.extra_flops(3, 8) == 3 * (generator + head)


def test_a_training_counts_generator_and_discriminator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted: list[int] = []
    real = electra.generator_loss

    def watched(logits: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        predicted.append(len(logits))
        return real(logits, *others)

    monkeypatch.setattr(electra, "generator_loss", watched)
    text_files(tmp_path)
    described = text_recipe("masked_lm", STAGE, data={"block_size": 16})
    reporter = carry_out(tmp_path, described)
    config = AutoConfig.from_pretrained(tmp_path / "work" / "stage-00" / "model")
    rows, length, wide, hidden = 3 * 8, 16, 16, 4
    discriminator = rows * (layers_flops(length, 2, wide, 24) + length * 2 * (wide**2 + wide))
    generator = rows * (2 * length * wide * hidden + layers_flops(length, 2, hidden, 6))
    generator += sum(predicted) * 2 * (hidden * wide + wide * config.vocab_size)
    (count,) = reporter.of("flops")[-1:]
    assert count["dense"] == 3 * (discriminator + generator)
    assert "drawing the generator's tokens" in count["uncounted"]


# ---- whole runs ----


def test_the_published_encoder_has_no_head_and_is_fine_tuned(tmp_path: Path) -> None:
    text_files(tmp_path)
    data_set(tmp_path)
    with counted_once():
        described = text_recipe("masked_lm", STAGE, {**STAGE, "kind": "train"})
        del described["stages"][1]["method"]
        described["stages"][1]["evaluate"] = True
        reporter = carry_out(tmp_path, described)
        assert reporter.of("metric", name="perplexity")
        model = tmp_path / "work" / "stage-00" / "model"
        encoder = load_file(model / "model.safetensors")
        assert AutoConfig.from_pretrained(model).architectures == ["BertModel"]
        assert not any(name.startswith(("cls.", "bert.", "pooler")) for name in encoder)
        model.rename(tmp_path / "encoder")
        tuned = recipe({**TRAIN, "learning_rate": 1e-9, "evaluate": False}, model="encoder")
        carry_out(tmp_path, tuned, work_dir=tmp_path / "tuned")
        tensors = load_file(tmp_path / "tuned" / "stage-00" / "model" / "model.safetensors")
        for name, tensor in encoder.items():
            torch.testing.assert_close(tensors[f"bert.{name}"], tensor, rtol=0, atol=1e-6)
        with pytest.raises(JobError) as rejected:
            carry_out(tmp_path, recipe({"kind": "evaluate"}, model="encoder"))
    assert rejected.value.code == "untrained-model"


def test_a_detector_learns_from_a_checkpoint_with_its_own_losses(tmp_path: Path) -> None:
    text_files(tmp_path)
    with counted_once():
        first = {**STAGE, "kind": "train", "evaluate": False}
        del first["method"]
        carry_out(tmp_path, text_recipe("masked_lm", first))
        (tmp_path / "work" / "stage-00" / "model").rename(tmp_path / "start")
        longer = {**STAGE, "max_steps": 40, "learning_rate": 5e-3}
        described = text_recipe("masked_lm", longer, model="start")
        reporter = carry_out(tmp_path, described, work_dir=tmp_path / "electra")
    for name in ("loss_generator", "loss_detection"):
        values = [event["value"] for event in reporter.of("metric", name=name)]
        assert values, name
        assert values[-1] < values[0], name


@pytest.mark.parametrize(
    ("stages", "field"),
    [
        ([{"evaluate": True}], "recipe.stages.0.evaluate"),
        ([{"mid_evaluation": {"every_steps": 2}}], "recipe.stages.0.mid_evaluation"),
        ([{"generator_size": 0}], "recipe.stages.0.generator_size"),
        ([{"generator_size": 1.5}], "recipe.stages.0.generator_size"),
        ([{"masked": 1.1}], "recipe.stages.0.masked"),
        ([{}, {"kind": "evaluate"}], "recipe.stages.1.kind"),
        ([{}, {"kind": "measure"}], "recipe.stages.1.kind"),
        ([{}, {"kind": "quantize"}], "recipe.stages.1.kind"),
        ([{}, {"kind": "distill", "evaluate": False}], "recipe.stages.1.kind"),
    ],
)
def test_what_does_not_fit_is_rejected(stages: list[dict[str, Any]], field: str) -> None:
    described = text_recipe("masked_lm", {**STAGE, **stages[0]}, *stages[1:])
    with pytest.raises(RecipeError) as rejected:
        parse_recipe(described)
    assert rejected.value.errors[0].field == field


def test_other_tasks_and_other_families_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(RecipeError):
        parse_recipe(text_recipe("causal_lm", STAGE))
    shape = AutoConfig.for_model("distilbert", dim=8, n_layers=1, n_heads=1, hidden_dim=8)
    from transformers import AutoModelForMaskedLM

    with pytest.raises(JobError, match="distilbert"):
        require_shareable(AutoModelForMaskedLM.from_config(shape), "recipe.stages.0")  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("size", [0.1, 0.25, 1 / 3, 1.0])
@pytest.mark.parametrize("layers", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("hidden", [16, 36, 256])
def test_a_quote_knows_the_generators_shape(size: float, layers: float, hidden: int) -> None:
    params = PretrainElectra(method="electra", generator_size=size, generator_layers=layers)
    shape = Shape(layers=3, hidden_size=hidden, intermediate_size=4 * hidden)
    config = BertConfig(
        hidden_size=hidden,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=4 * hidden,
    )
    made = generator_config(config, size, layers)
    companion = REGISTRY["pretrain-electra"].traits.companion(params, shape)
    assert companion is not None
    assert (companion.layers, companion.hidden_size, companion.intermediate_size) == (
        made.num_hidden_layers,
        made.hidden_size,
        made.intermediate_size,
    )
    assert REGISTRY["train"].traits.companion(params, shape) is None
    assert REGISTRY["pretrain-electra"].traits.companion(params, Shape(layers=3)) is None
