"""Model families: each trains, or is rejected with a reason before the first step."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from tests.support import families, tiny_models
from tests.support.recording import RecordingReporter
from tests.support.training import carry_out, recipe
from workers.job.reporter import JobError
from workers.training import finetune
from workers.training.cost.flops import profile, unknown
from workers.training.formats import registry
from workers.training.model.positions import position_limit

STEP = {"kind": "train", "max_steps": 1, "batch_size": 4, "evaluate": False}
COUNTED = [
    "albert",
    "bart",
    "bert",
    "big_bird",
    "biogpt",
    "bloom",
    "camembert",
    "convbert",
    "ctrl",
    "data2vec-text",
    "deberta",
    "deberta-v2",
    "distilbert",
    "electra",
    "ernie",
    "esm",
    "fnet",
    "gpt2",
    "gpt_neo",
    "gpt_neox",
    "gptj",
    "ibert",
    "llama",
    "longformer",
    "luke",
    "mbart",
    "megatron-bert",
    "mobilebert",
    "modernbert",
    "mpnet",
    "mpt",
    "mra",
    "nystromformer",
    "openai-gpt",
    "opt",
    "phi",
    "perceiver",
    "qwen2",
    "rembert",
    "roberta",
    "roberta-prelayernorm",
    "roformer",
    "squeezebert",
    "xlm",
    "xlm-roberta",
    "xlnet",
    "xmod",
    "yoso",
]
NOT_COUNTED = ["canine"]  # at this size, on texts alone
REJECTED = ["lilt", "reformer"]


def trained(folder: Path, made: Any, *, pair: bool = False, **tokens: Any) -> RecordingReporter:
    tiny_models.save(folder / "m", made, **tokens)
    second = "\tb a" if pair else ""
    rows = [f"{'good film ' * (8 * n + 1)}a{second}\t{n % 2}" for n in range(4)]
    head = "sentence\tother\tlabel" if pair else "sentence\tlabel"
    (folder / "t.tsv").write_text("\n".join([head, *rows]) + "\n")
    columns = {"text_pair": "other"} if pair else {}
    return carry_out(folder, recipe(STEP, data={"train": "t.tsv", **columns}, model="m"))


@pytest.mark.parametrize("family", COUNTED)
def test_a_family_trains_on_texts_longer_than_it_has_positions_for(
    tmp_path: Path, family: str
) -> None:
    (flops,) = trained(tmp_path, families.config(family)).of("flops")[-1:]
    assert flops["dense"] > 0
    assert "not counted" not in flops["method"]


@pytest.mark.parametrize("family", NOT_COUNTED)
def test_uncountable_operations_are_named_as_unknown_and_training_continues(
    tmp_path: Path, family: str
) -> None:
    (flops,) = trained(tmp_path, families.config(family)).of("flops")[-1:]
    assert math.isnan(flops["dense"])
    assert flops["method"].startswith("not counted")
    assert flops["uncounted"][0].startswith(f"the forward pass of {family} (on meta tensors: ")


@pytest.mark.parametrize("family", REJECTED)
def test_a_family_that_needs_more_than_texts_is_rejected_with_its_name(
    tmp_path: Path, family: str
) -> None:
    with pytest.raises(JobError) as caught:
        trained(tmp_path, families.config(family))
    assert (caught.value.code, caught.value.field) == ("bad-model", "recipe.model")
    assert f"a {family} model of this shape cannot work on texts alone" in caught.value.message


@pytest.mark.parametrize("family", [*COUNTED, *NOT_COUNTED, *REJECTED])
def test_no_family_is_mistaken_for_one_of_our_formats(family: str) -> None:
    """Neither at a tiny size nor with the widths, such as MobileBERT's, of its own defaults."""
    usual = AutoConfig.for_model(family, **({"vocab_size": 33} if family == "esm" else {}))
    for name in ("num_hidden_layers", "encoder_layers", "decoder_layers"):
        if hasattr(usual, name) and family not in {"gpt_neo", "reformer"}:
            setattr(usual, name, 2)
    for config in (families.config(family), usual):
        with torch.device("meta"):
            model: Any = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
        assert registry.describe(model) == {}


LIMITS = [
    ("bert", {}, 34),
    ("distilbert", {}, 34),
    ("electra", {}, 34),
    ("albert", {}, 34),
    ("deberta-v2", {}, 34),
    ("roberta", {}, 32),
    ("roberta", {"pad_token_id": 3}, 30),
    ("roberta", {"pad_token_id": 0}, 33),
    ("xlm-roberta", {}, 32),
    ("camembert", {}, 32),
    ("data2vec-text", {}, 32),
    ("mpnet", {}, 32),
    ("longformer", {}, 32),
    ("esm", {}, 32),
    ("luke", {}, 32),
    ("gpt2", {}, 34),
    ("bart", {}, 34),
    ("opt", {}, 34),
    ("nystromformer", {}, 34),
    ("yoso", {}, 34),
    ("roformer", {}, 34),
    ("gptj", {}, 34),
]


@pytest.mark.parametrize(("family", "changes", "limit"), LIMITS)
def test_the_limit_is_the_longest_text_that_a_model_takes(
    family: str, changes: dict[str, Any], limit: int
) -> None:
    torch.manual_seed(0)
    model: Any = AutoModelForSequenceClassification.from_config(families.config(family, **changes))  # type: ignore[no-untyped-call]
    model.train(False)
    assert position_limit(model) == limit

    def work(length: int) -> None:
        ids = torch.full((2, length), 7)
        ids[:, -1] = 2
        with torch.no_grad():
            model(input_ids=ids, attention_mask=torch.ones_like(ids))

    work(limit)
    if family != "roberta" or changes.get("pad_token_id") != 0:
        with pytest.raises((IndexError, RuntimeError)):
            work(limit + 1)


@pytest.mark.parametrize(
    ("family", "changes"),
    [("xlnet", {}), ("bloom", {}), ("mpt", {}), ("deberta-v2", {"position_biased_input": False})],
)
def test_relative_positions_have_no_limit(family: str, changes: dict[str, Any]) -> None:
    model: Any = AutoModelForSequenceClassification.from_config(families.config(family, **changes))  # type: ignore[no-untyped-call]
    assert position_limit(model) is None


@pytest.mark.parametrize("family", ["deberta", "gpt2", "megatron-bert", "big_bird"])
def test_an_encoder_of_berts_shape_has_berts_count(family: str) -> None:
    """Whether on meta tensors or on the CPU: the same matrices give the same count."""
    counted, bert = profile(families.config(family)), profile(families.config("bert"))
    assert counted.square == bert.square
    assert counted.linear == pytest.approx(bert.linear, rel=0.02)


def test_figures_and_method_of_a_training_are_from_one_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Trainer turns a decoder's ``use_cache`` off, which does not change the architecture."""
    counts: list[str] = []

    def counted(config: Any, head: Any) -> Any:
        counts.append(config.model_type)
        return profile(config, head) if len(counts) == 1 else unknown("a second count")

    monkeypatch.setattr(finetune, "profile", counted)
    (flops,) = trained(tmp_path, families.config("ctrl")).of("flops")[-1:]
    assert counts == ["ctrl"]
    assert flops["dense"] > 0


def test_an_unknown_count_stays_unknown_in_every_sum() -> None:
    some = unknown("a model")
    assert math.isnan(10 * some.training(16) + some.forward(8, 0.5))
    assert some.uncounted == ("a model",)


@pytest.mark.parametrize(
    ("changes", "tokens", "pair", "what"),
    [
        ({}, {"pad_token": None}, False, "no padding token"),
        ({"vocab_size": 10}, {}, False, "tokens up to number"),
        ({"type_vocab_size": 1}, {}, True, "two kinds of tokens"),
    ],
)
def test_a_tokenizer_that_does_not_fit_its_model_is_rejected(
    tmp_path: Path, changes: dict[str, Any], tokens: dict[str, Any], pair: bool, what: str
) -> None:
    with pytest.raises(JobError) as caught:
        trained(tmp_path, families.config("bert", **changes), pair=pair, **tokens)
    assert (caught.value.code, caught.value.field) == ("bad-model", "recipe.model")
    assert what in caught.value.message


def test_pairs_train_on_a_model_without_token_types(tmp_path: Path) -> None:
    assert trained(tmp_path, families.config("distilbert"), pair=True).of("flops")


def test_a_decoder_learns_its_padding_from_the_tokenizer(tmp_path: Path) -> None:
    assert trained(tmp_path, families.config("gpt2", pad_token_id=None)).of("flops")
