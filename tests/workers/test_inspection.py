"""Models inspected from their files: the counts of the loaded model, and of what methods leave."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    DistilBertConfig,
    GPT2Config,
    PreTrainedModel,
    RobertaConfig,
)

from pricetag.cli.app import run as pricetag
from pricetag.inspection import UnreadableModelError, exits_of, parts_of, read_model, savings_of
from workers.methods.albert import apply_albert
from workers.methods.int8 import apply_int8
from workers.methods.low_rank import apply_low_rank, ranks_of, replaceable
from workers.training.formats import registry
from workers.training.formats.exits import add_exits
from workers.training.formats.profile import profile
from workers.training.formats.sliced import slice_layer

LENGTH = 24
HIDDEN, INNER, LAYERS, HEADS = 32, 48, 4, 4
BERT = BertConfig(
    vocab_size=400,
    hidden_size=HIDDEN,
    num_hidden_layers=LAYERS,
    num_attention_heads=HEADS,
    intermediate_size=INNER,
    max_position_embeddings=80,
)
OTHERS: dict[str, Any] = {
    "masked-lm": (AutoModelForMaskedLM, BERT),
    "answers": (AutoModelForQuestionAnswering, BERT),
    "distilbert": (
        AutoModelForSequenceClassification,
        DistilBertConfig(vocab_size=90, dim=32, n_layers=2, n_heads=4, hidden_dim=48),
    ),
    "roberta": (
        AutoModelForSequenceClassification,
        RobertaConfig(
            vocab_size=90, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=48, max_position_embeddings=90,
        ),
    ),
    "gpt2": (
        AutoModelForCausalLM,
        GPT2Config(vocab_size=90, n_embd=32, n_layer=2, n_head=4, n_positions=80),
    ),
}  # fmt: skip


def classifier() -> BertForSequenceClassification:
    torch.manual_seed(0)
    return BertForSequenceClassification(BERT)


def sliced(model: PreTrainedModel) -> None:
    slice_layer(model, 1, [0, 2], range(20))


def factorized(model: PreTrainedModel) -> None:
    sizes = {"ratio": 0.5}
    apply_low_rank(model, ranks_of(replaceable(model, "all"), sizes))


def shared_with_exits(model: PreTrainedModel) -> None:
    apply_albert(model, 2, None, "first")
    add_exits(model, [1, 3])


def sliced_with_exits(model: PreTrainedModel) -> None:
    sliced(model)
    add_exits(model, [0, 2, 3])


def deep_equilibrium(model: PreTrainedModel) -> None:
    note = {"format": 1, "solver": "anderson", "evaluations": 3, "gradient_evaluations": 1}
    registry.rebuild(model, {"deq": note})


def hashed(model: PreTrainedModel) -> None:
    registry.rebuild(model, {"reformer": {"format": 1, "rounds": 2, "buckets": 6, "chunk": 5}})


SURGERY: dict[str, Callable[[PreTrainedModel], Any]] = {
    "plain": lambda model: None,
    "sliced": sliced,
    "low-rank": factorized,
    "albert": lambda model: apply_albert(model, 2, 8, "first"),
    "int8": lambda model: apply_int8(model, embeddings=True),
    "exits": lambda model: add_exits(model, [0, 1, 3]),
    "shared-exits": shared_with_exits,
    "sliced-exits": sliced_with_exits,
    "deq": deep_equilibrium,
    "reformer": hashed,
}


def inspected(model: PreTrainedModel, folder: Path) -> Any:
    model.train(False)
    registry.save(model, folder)
    return parts_of(read_model(folder), LENGTH)


@pytest.mark.parametrize("surgery", SURGERY)
def test_the_files_of_a_model_describe_its_modules(tmp_path: Path, surgery: str) -> None:
    model = classifier()
    SURGERY[surgery](model)
    counted = profile(model)
    total = inspected(model, tmp_path).total
    assert total.parameters == counted.weights.parameters
    assert total.flops == counted.flops_per_sequence(LENGTH)
    assert total.size_bytes == counted.weights.dense_bytes


@pytest.mark.parametrize("surgery", SURGERY)
def test_the_operations_up_to_each_exit_are_those_of_the_model(
    tmp_path: Path, surgery: str
) -> None:
    model = classifier()
    SURGERY[surgery](model)
    counted = profile(model)
    inspected(model, tmp_path)
    exits = exits_of(read_model(tmp_path), LENGTH)
    assert [each.flops for each in exits] == [each.forward(LENGTH) for each in counted.exits]
    assert bool(exits) == ("exits" in surgery)
    if "exits" in surgery:
        assert [each.layer for each in exits][-1] == LAYERS - 1


@pytest.mark.parametrize("name", OTHERS)
def test_other_architectures_and_heads(tmp_path: Path, name: str) -> None:
    auto, config = OTHERS[name]
    model = auto.from_config(config)
    counted = profile(model)
    total = inspected(model, tmp_path).total
    assert total.parameters == counted.weights.parameters
    assert total.flops == counted.flops_per_sequence(LENGTH)


def test_the_parts_of_bert_base(tmp_path: Path) -> None:
    with torch.device("meta"):
        model = BertForSequenceClassification(BertConfig())
    folder = tmp_path / "base"
    folder.mkdir()
    header = {
        name: {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [0, 0]}
        for name, tensor in model.state_dict().items()
    }
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    model.config.architectures = ["BertForSequenceClassification"]
    model.config.save_pretrained(folder)
    parts = parts_of(read_model(folder), 128)
    assert parts.by_name["embedding"].parameters == 23_837_184
    assert parts.total.parameters == 109_483_778
    assert parts.total.flops == 22_348_431_360 + 2 * 768 * 2  # the classifier's
    mixing = 12 * 4 * 128**2 * 768
    assert parts.by_name["attention"].flops == 12 * 4 * 2 * 128 * 768**2 + mixing
    assert parts.by_name["feed_forward"].flops == 12 * 2 * 2 * 128 * 768 * 3072


def test_what_methods_leave_is_what_they_leave(tmp_path: Path) -> None:
    model = classifier()
    parts = inspected(model, tmp_path / "plain")
    savings = {one.method: one for one in savings_of(read_model(tmp_path / "plain"), parts)}
    heads = classifier()
    for layer in range(LAYERS):
        slice_layer(heads, layer, range(HEADS // 2), range(INNER))
    halves = classifier()
    halves.bert.encoder.layer = halves.bert.encoder.layer[::2]
    halves.config = BertConfig(**{**BERT.to_dict(), "num_hidden_layers": LAYERS // 2})
    factors, quantized = classifier(), classifier()
    factorized(factors)
    apply_int8(quantized, embeddings=True)
    for method, made in (
        ("prune, method: heads, share: 0.5", heads),
        ("prune, method: layerdrop", halves),
        ("factorize, method: low_rank, ratio: 0.5", factors),
        ("quantize", quantized),
    ):
        counted, saving = profile(made), savings[method]
        assert saving.parameters == counted.weights.parameters, method
        assert saving.flops == counted.flops_per_sequence(LENGTH), method
        assert saving.size_bytes == counted.weights.dense_bytes, method
    half = savings["prune, sparsity: 0.5"]
    matrices = LAYERS * (4 * HIDDEN**2 + 2 * HIDDEN * INNER)
    assert half.parameters == parts.total.parameters - matrices // 2
    assert half.flops == parts.total.flops
    assert savings["share, method: albert, embedding_size: null"].flops == parts.total.flops


def test_a_model_that_is_not_plain_gets_no_list_of_savings(tmp_path: Path) -> None:
    model = classifier()
    sliced(model)
    assert (
        savings_of(read_model(tmp_path), inspected(model, tmp_path)) == []
        if (inspected(model, tmp_path))
        else False
    )


@pytest.mark.parametrize("damage", ["no folder", "no weights", "header", "config", "packed"])
def test_a_folder_without_a_model_is_an_error_of_one_line(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    if damage != "no folder":
        registry.save(classifier(), folder)
    weights = folder / "model.safetensors"
    match damage:
        case "no weights":
            weights.unlink()
        case "header":
            weights.write_bytes(b"\x10\0\0\0\0\0\0\0{not json")
        case "config":
            (folder / "config.json").write_text("[1]")
        case "packed":
            (folder / "integers.json").write_text("{}")
    with pytest.raises(UnreadableModelError):
        read_model(folder)
    assert pricetag(["inspect", str(folder)]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert len(output.err.strip().splitlines()) == 1


def test_the_command_shows_parts_and_savings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.save(classifier(), tmp_path)
    assert pricetag(["inspect", str(tmp_path), "--length", str(LENGTH), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["total"]["flops"] == profile(classifier()).flops_per_sequence(LENGTH)
    assert figures["training_bytes"] == 16 * figures["total"]["parameters"]
    assert pricetag(["inspect", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    for words in ("feed-forward", "attention", "Memory", "method: layerdrop"):
        assert words in shown


def test_a_matrix_that_is_stored_twice_counts_once(tmp_path: Path) -> None:
    """Older files have a tied output matrix of their own."""
    model = BertForMaskedLM(BERT)
    registry.save(model, tmp_path)
    state = {name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    total = parts_of(read_model(tmp_path), LENGTH).total
    counted = profile(model)
    assert total.parameters == counted.weights.parameters
    assert total.flops == counted.flops_per_sequence(LENGTH)
