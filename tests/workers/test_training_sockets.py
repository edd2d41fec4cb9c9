"""What ``fit`` offers a method: needs, groups of parameters, a teacher, density, an early end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.support.sockets import (
    Momentum,
    Projection,
    equal,
    fitted,
    prepared,
    teacher,
    weights,
)
from workers.job.reporter import Interrupted, JobError
from workers.methods.logits import SoftLabels
from workers.training.forward_pass import ForwardPass
from workers.training.losses import TaskLoss
from workers.training.model.recording import Needs, Recorder
from workers.training.model.recording import prepared as showing
from workers.training.plugin import LossTerm, ParameterGroup, Plugin, Step, overriding

IDS = torch.randint(5, 60, (3, 9), generator=torch.Generator().manual_seed(0))
MASK = (torch.arange(9) < torch.tensor([[9], [6], [4]])).long()


class Reads(LossTerm):
    """Keeps what a term may read."""

    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        self.passes: list[ForwardPass] = []

    def value(self, forward: ForwardPass) -> torch.Tensor:
        self.passes.append(forward)
        return forward.logits.square().mean()


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


def count_passes(model: nn.Module) -> list[int]:
    calls: list[int] = []
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    return calls


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


class Own(Plugin):
    """Trains the classifier ten times as fast, without decay, on a schedule of its own."""

    def __init__(self) -> None:
        self.rates: list[list[float]] = []
        self.decays: list[float] = []

    def parameter_groups(self, model: nn.Module) -> Sequence[ParameterGroup]:
        parameters = [p for n, p in model.named_parameters() if n.startswith("classifier")]
        return [ParameterGroup(parameters, 0.1, 0.0, lambda done, total: 1.0 / (1 + done))]

    def before_step(self, step: Step) -> None:
        assert step.optimizer is not None
        self.rates.append([group["lr"] for group in step.optimizer.param_groups])
        self.decays = [group["weight_decay"] for group in step.optimizer.param_groups]
        assert step.learning_rate == self.rates[-1][0]


def test_parameter_groups_have_their_own_rate_decay_and_schedule(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)
    own = Own()
    fitted(stage, loaded, plugins=[own], options={"weight_decay": 0.2})
    assert own.decays == [0.2, 0.0, 0.0]
    assert [rates[0] for rates in own.rates] == pytest.approx([1e-3, 7.5e-4, 5e-4, 2.5e-4])
    assert [rates[2] for rates in own.rates] == pytest.approx([0.1, 0.05, 0.1 / 3, 0.025])


def test_parameters_of_a_plugin_are_trained_and_clipped_with_the_models(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)
    projection = Projection(2, learning_rate=0.05)
    start = projection.linear.weight.detach().clone()
    seen: list[float] = []

    class Norm(Plugin):
        def after_step(self, step: Step) -> None:
            assert step.optimizer is not None
            gradients = [
                p.grad
                for g in step.optimizer.param_groups
                for p in g["params"]
                if p.grad is not None
            ]
            seen.append(float(torch.stack([g.norm() for g in gradients]).norm()))

    losses = [TaskLoss(), projection]
    # The hook of the optimizer zeroes the plug-in's gradients, so only the model's are seen.
    fitted(stage, loaded, losses=losses, plugins=[Norm()], options={"max_grad_norm": 0.01})
    assert not torch.equal(projection.linear.weight, start)
    assert max(seen) <= 0.01 + 1e-6
    # Zeroed between steps: the gradient of a step does not contain the one before.
    assert len(projection.gradients) == 4
    assert projection.linear.weight.grad is None


def test_the_teacher_runs_once_a_batch_for_three_terms(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)
    _, other = prepared(tmp_path)
    asked = teacher(other)
    calls = count_passes(other.model)

    class Compares(Reads):
        def __init__(self, needs: Needs) -> None:
            super().__init__(needs)
            self.teacher = asked
            self.states = 0

        def value(self, forward: ForwardPass) -> torch.Tensor:
            assert self.teacher is not None
            outputs = self.teacher.outputs(forward)
            self.states = len(outputs.hidden_states)
            assert not outputs.logits.requires_grad
            return (forward.logits - outputs.logits).square().mean()

    terms = [
        SoftLabels(asked, weight=0.5, temperature=2.0),
        Compares(Needs(hidden_states=True)),
        Compares(Needs(attention_scores=True)),
    ]
    fitted(stage, loaded, losses=terms)
    assert len(calls) == 4
    assert terms[1].states == 3  # type: ignore[attr-defined]
    assert not other.model.training
    curve = {e["name"] for e in stage.reporter.of("metric") if e["name"].startswith("loss")}  # type: ignore[attr-defined]
    assert curve == {"loss", "loss_logits", "loss_term"}


def batch(index: list[int], ids: torch.Tensor) -> ForwardPass:
    return ForwardPass(
        model=nn.Identity(),
        outputs=None,
        inputs={"input_ids": ids, "attention_mask": torch.ones_like(ids)},
        targets={"index": torch.tensor(index)},
    )


def test_the_cache_is_exact_and_bounded(tmp_path: Path) -> None:
    _, loaded = prepared(tmp_path)
    asked = teacher(loaded, cache_bytes=2 * 4 * 2)  # logits of two examples
    asked.begin(Needs(), 10)
    calls = count_passes(loaded.model)
    first = asked.outputs(batch([0, 1], IDS[:2])).logits.clone()
    wider = torch.cat([IDS[:2], torch.zeros(2, 3, dtype=torch.long)], dim=1)
    again = asked.outputs(batch([1, 0], wider.flip(0))).logits
    assert torch.equal(again, first.flip(0))  # to the last bit, in whatever batch it comes
    assert len(calls) == 1
    mixed = asked.outputs(batch([1, 7], IDS[1:])).logits
    assert torch.equal(mixed[0], first[1])
    asked.outputs(batch([7, 1], IDS[1:].flip(0)))
    assert len(calls) == 3  # example 7 has no place
    assert asked.flops(9) == 2 * 9 * 10
    assert asked.state()["logits"].shape == (2, 2)


def interrupted(root: Path, steps: int, **parts: Any) -> None:
    stage, loaded = prepared(root, stop_after=steps - 1)
    with pytest.raises(Interrupted):
        fitted(stage, loaded, steps=9, **parts)


@pytest.mark.parametrize("at", [1, 4, 7])
def test_plugin_state_resumes_to_the_same_bits(tmp_path: Path, at: int) -> None:
    _, other = prepared(tmp_path / "teacher")

    def parts() -> dict[str, Any]:
        asked = teacher(other)
        terms: list[LossTerm] = [TaskLoss(), Projection(2)]
        terms.append(SoftLabels(asked, weight=1.0, temperature=2.0))
        return {"losses": terms, "plugins": [Momentum()], "options": {"weight_decay": 0.1}}

    stage, whole = prepared(tmp_path / "whole")
    together = parts()
    fitted(stage, whole, steps=9, **together)
    interrupted(tmp_path / "halves", at, **parts())
    stage, halves = prepared(tmp_path / "halves")
    resumed = parts()
    outcome = fitted(stage, halves, steps=9, **resumed)
    assert (outcome.resumed_from_step, outcome.steps) == (at, 9)
    assert equal(weights(whole), weights(halves))
    one, two = together["plugins"][0], resumed["plugins"][0]
    assert int(two.steps) == 9
    assert torch.equal(one.mean, two.mean)
    own, theirs = together["losses"][1].linear.weight, resumed["losses"][1].linear.weight
    assert torch.equal(own, theirs)


class Rising(Plugin):
    """Sparsity that rises with the steps, and a batch that saves operations."""

    def __init__(self) -> None:
        self.now = 1.0

    def before_step(self, step: Step) -> None:
        self.now = 1 - step.done / step.total

    def density(self) -> float:
        return self.now

    def extra_flops(self, rows: int, width: int) -> float:
        return -float(rows)


def test_operations_follow_the_density_over_time(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)
    reads = Reads(Needs())
    fitted(stage, loaded, losses=[reads], plugins=[Rising()])
    from workers.training.finetune import model_profile

    profile = model_profile(stage, loaded)
    shapes = [one.inputs["input_ids"].shape for one in reads.passes]
    dense = sum(rows * (profile.training(width) - 1) for rows, width in shapes)
    effective = sum(
        rows * (profile.training(width, 1 - number / 4) - 1)
        for number, (rows, width) in enumerate(shapes)
    )
    reported = stage.reporter.of("flops")[-1]  # type: ignore[attr-defined]
    assert reported["dense"] == pytest.approx(dense, rel=1e-12)
    assert reported["effective"] == pytest.approx(effective, rel=1e-12)


class Quits(Plugin):
    def after_step(self, step: Step) -> None:
        if step.done == 2:
            step.stop("enough")


def test_a_plugin_ends_training(tmp_path: Path) -> None:
    stage, loaded = prepared(tmp_path)
    outcome = fitted(stage, loaded, plugins=[Quits()])
    assert (outcome.steps, outcome.stopped) == (2, "enough")


def test_stopping_before_the_horizon_and_continuing_equals_training_through(tmp_path: Path) -> None:
    stage, whole = prepared(tmp_path / "whole")
    fitted(stage, whole, steps=9)
    stage, parts = prepared(tmp_path / "parts")
    assert fitted(stage, parts, steps=9, stop_at=3).steps == 3
    three = weights(parts)
    stage, again = prepared(tmp_path / "parts")
    outcome = fitted(stage, again, steps=9, stop_at=3)  # done already: nothing is trained
    assert (outcome.steps, outcome.loss) == (3, None)
    assert equal(weights(again), three)
    assert stage.reporter.of("flops") == []  # type: ignore[attr-defined]
    stage, rest = prepared(tmp_path / "parts")
    assert fitted(stage, rest, steps=9).steps == 9
    assert equal(weights(rest), weights(whole))


class Watches(Plugin):
    def __init__(self) -> None:
        self.seen: list[tuple[int, Mapping[str, float | None]]] = []
        self.epochs: list[int] = []

    def on_evaluate(self, step: Step, metrics: Mapping[str, float | None]) -> None:
        self.seen.append((step.done, metrics))

    def on_epoch(self, step: Step) -> None:
        self.epochs.append(round(step.epoch))


def test_evaluation_in_mid_training_is_on_the_curve_and_changes_nothing(tmp_path: Path) -> None:
    stage, plain = prepared(tmp_path / "plain")
    fitted(stage, plain, steps=9)
    before = stage.reporter.of("flops")[-1]["dense"]  # type: ignore[attr-defined]
    stage, loaded = prepared(tmp_path / "watched")
    watches = Watches()
    plan = {"mid_evaluation": {"every_steps": 4, "keep_best": False}}
    fitted(stage, loaded, steps=9, plugins=[watches], options=plan)
    assert [step for step, _ in watches.seen] == [4, 8, 9]
    assert watches.epochs == [0, 1]
    curve = stage.reporter.of("metric", name="accuracy", split="validation")  # type: ignore[attr-defined]
    assert [event["step"] for event in curve] == [4, 8, 9]
    assert [e["value"] for e in curve] == [m["accuracy"] for _, m in watches.seen]
    assert equal(weights(plain), weights(loaded))
    assert stage.reporter.of("flops")[-1]["dense"] > before  # type: ignore[attr-defined]


def test_the_best_weights_are_kept_and_patience_ends_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workers.training import evaluation
    from workers.training.metrics import Score

    values = iter([0.5, 0.8, 0.7, None, 0.9])
    kept: list[dict[str, torch.Tensor]] = []
    stage, loaded = prepared(tmp_path)

    def scripted(*args: Any, **options: Any) -> Any:
        kept.append(weights(loaded))

        class Nothing:
            def forward_flops(self, *of: Any) -> float:
                return 0.0

        return {"accuracy": Score(next(values))}, Nothing()

    monkeypatch.setattr(evaluation, "evaluate", scripted)
    plan = {"mid_evaluation": {"every_steps": 1, "patience": 2}}
    outcome = fitted(stage, loaded, steps=9, options=plan)
    assert (outcome.steps, outcome.best_step) == (4, 2)
    assert outcome.stopped == "no better accuracy in 2 evaluations"
    assert equal(weights(loaded), kept[1])


@pytest.mark.parametrize("at", [3, 5])
def test_mid_evaluation_resumes_to_the_same_best(tmp_path: Path, at: int) -> None:
    plan = {"options": {"mid_evaluation": {"every_steps": 2, "patience": 9}}}
    stage, whole = prepared(tmp_path / "whole")
    through = fitted(stage, whole, steps=9, **plan)
    interrupted(tmp_path / "halves", at, **plan)
    stage, halves = prepared(tmp_path / "halves")
    resumed = fitted(stage, halves, steps=9, **plan)
    assert through.best_step == resumed.best_step
    assert equal(weights(whole), weights(halves))


class Stops(Plugin):
    def after_step(self, step: Step) -> None:
        if step.done == 3:
            step.stop("enough")


def test_only_the_hooks_that_a_plug_in_overrides_are_called(tmp_path: Path) -> None:
    parts: list[Plugin] = [TaskLoss(), Stops(), Momentum()]
    assert overriding(parts, "after_step") == parts[1:]
    assert overriding(parts, "after_backward") == overriding(parts, "on_epoch") == []
    stage, loaded = prepared(tmp_path)
    outcome = fitted(stage, loaded, steps=9, plugins=parts[1:])
    assert (outcome.steps, outcome.stopped) == (3, "enough")


def test_a_single_term_of_weight_1_trains_as_its_weighted_sum(tmp_path: Path) -> None:
    stage, alone = prepared(tmp_path / "alone")
    fitted(stage, alone, losses=[TaskLoss()])
    stage, halves = prepared(tmp_path / "halves")
    fitted(stage, halves, losses=[TaskLoss(0.5), TaskLoss(0.5)])
    assert equal(weights(alone), weights(halves))  # halves of a float are exact
