"""Recorded attention and hidden states: right, of every call, without a second forward pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.sockets import (
    IDS,
    MASK,
    Reads,
    count_passes,
    fitted,
    prepared,
)
from workers.job.reporter import JobError
from workers.training.losses import TaskLoss
from workers.training.model.recording import Needs, Recorder
from workers.training.model.recording import prepared as showing


@pytest.mark.parametrize(
    "needs",
    [Needs(attention_scores=True), Needs(attention_states=True), Needs(eager_attention=True)],
    ids=["scores", "states", "eager"],
)
def test_recorded_attention_computes_the_same_result(tmp_path: Path, needs: Needs) -> None:
    _, loaded = prepared(tmp_path)
    model = loaded.model.train(False)
    with torch.no_grad():
        usual = model(input_ids=IDS, attention_mask=MASK).logits
        with showing(model, needs) as recorder, recorder.recording():
            shown = model(input_ids=IDS, attention_mask=MASK).logits
        after = model(input_ids=IDS, attention_mask=MASK).logits
    assert torch.allclose(shown, usual, atol=1e-6)
    assert torch.equal(after, usual)  # the model's own attention is back
    assert model.config._attn_implementation == "sdpa"


def test_scores_are_those_of_the_formula_and_respect_padding(tmp_path: Path) -> None:
    _, loaded = prepared(tmp_path)
    model = loaded.model.train(False)
    with showing(model, Needs(attention_scores=True)) as recorder, recorder.recording():
        model(input_ids=IDS, attention_mask=MASK)
    assert len(recorder.attention) == 2
    one = recorder.attention[0]
    assert one.scores is not None
    assert one.probabilities is not None
    head_dim = one.query.shape[-1]
    assert one.query.shape == (3, 2, 9, 8)
    plain = one.query @ one.key.transpose(2, 3) / head_dim**0.5
    visible = MASK[:, None, None, :].bool().expand_as(plain)
    assert torch.allclose(one.scores[visible], plain[visible])
    assert bool((one.scores[~visible] < -1e9).all())
    assert float(one.probabilities.detach()[~visible].max()) == 0.0


def test_hidden_states_are_those_of_the_library(tmp_path: Path) -> None:
    _, loaded = prepared(tmp_path)
    model = loaded.model.train(False)
    wanted = model(input_ids=IDS, attention_mask=MASK, output_hidden_states=True).hidden_states
    recorder = Recorder(model, Needs(hidden_states=True))
    with recorder.recording():
        model(input_ids=IDS, attention_mask=MASK)
    assert len(recorder.hidden_states) == 3
    assert all(
        torch.equal(own, theirs) for own, theirs in zip(recorder.hidden_states, wanted, strict=True)
    )


def test_a_shared_layer_is_recorded_at_each_of_its_calls(tmp_path: Path) -> None:
    _, loaded = prepared(tmp_path)
    model: Any = loaded.model.train(False)
    model.bert.encoder.layer[1] = model.bert.encoder.layer[0]
    recorder = Recorder(model, Needs(hidden_states=True))
    with recorder.recording():
        model(input_ids=IDS, attention_mask=MASK)
    assert len(recorder.hidden_states) == 3


def test_scores_and_states_cost_no_second_forward_pass(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)
    calls = count_passes(loaded.model)
    reads = Reads(Needs(hidden_states=True, attention_scores=True))
    fitted(stage, loaded, losses=[TaskLoss(), reads])
    assert len(calls) == 4
    last = reads.passes[-1]
    assert len(last.hidden_states) == 3
    assert len(last.attention) == 2
    assert all(state.requires_grad for state in last.hidden_states)


def test_a_model_without_exchangeable_attention_is_rejected_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, loaded = prepared(tmp_path)
    monkeypatch.setattr(type(loaded.model), "set_attn_implementation", lambda *_: None)
    with pytest.raises(JobError) as caught:
        fitted(stage, loaded, losses=[Reads(Needs(attention_scores=True))])
    assert caught.value.code == "attention-not-available"
    assert "bert" in caught.value.message
