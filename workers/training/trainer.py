"""transformers' Trainer with our order of examples, explicit losses and plug-ins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, Trainer

from workers.job import ranks
from workers.training import callbacks, checkpoints
from workers.training.cost.tally import Tally
from workers.training.data.tokens import Batch, EpochSampler
from workers.training.evaluation import Evaluation
from workers.training.formats import registry
from workers.training.forward_pass import MODEL_INPUTS, ForwardPass, accepted
from workers.training.model.recording import Recorder
from workers.training.plugin import BatchPlace, LossTerm, ParameterGroup, Plugin, overriding
from workers.training.teacher import Teacher

Schedule = Callable[[int, int], float]

PLUGIN_STATE = "plugins.safetensors"


class Participants:
    """The participants of a training: terms of the loss, plug-ins, teachers."""

    def __init__(self, losses: list[LossTerm], plugins: list[Plugin]) -> None:
        self.losses = losses
        self.plugins = plugins
        self.all: list[Plugin] = [*losses, *plugins]
        teachers = [term.teacher for term in losses if term.teacher is not None]
        self.teachers: list[Teacher] = list(dict.fromkeys(teachers))
        self.read_logits = any(term.reads_logits for term in losses)
        self.batch_changers = overriding(self.all, "change_batch")
        self.gradient_readers = overriding(self.all, "after_backward")

    def density(self) -> float:
        """Share of the encoder's weights that are not zero, from the plug-in that changes it."""
        densities = [plugin.density() for plugin in self.all]
        return min((density for density in densities if density is not None), default=1.0)

    def extra_flops(self, rows: int, width: int, density: float) -> tuple[float, float]:
        """Operations of the last batch beyond those of the model: dense, and effective ones."""
        teachers = sum(teacher.flops(width) for teacher in self.teachers)
        dense = sum(plugin.extra_flops(rows, width) for plugin in self.all)
        effective = sum(plugin.extra_effective_flops(rows, width, density) for plugin in self.all)
        return dense + teachers, effective + teachers

    def owners(self) -> dict[str, Plugin | Teacher]:
        """Participants with a state, by a name that is the same in the next attempt."""
        owners: dict[str, Plugin | Teacher] = {
            f"plugin-{number}": plugin for number, plugin in enumerate(self.all)
        }
        owners.update((f"teacher-{number}", each) for number, each in enumerate(self.teachers))
        return owners


@dataclass(frozen=True)
class Operations:
    """Counts the operations of all processes' batches.

    While a training runs, this process's batches stand for those of all processes, whose texts
    may be of other lengths; at its end, ``finish`` replaces them by the sum over the processes.

    ``notes`` are those of the formats of the ``model``, ``own`` what this process did, dense and
    effective.
    """

    tally: Tally
    parts: Participants
    model: PreTrainedModel
    notes: registry.Notes
    own: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def add(self, rows: int, width: int) -> None:
        """Count a batch ``[rows, width]``, forward and backward, and its further operations."""
        density = self.parts.density()
        extra, effective_extra = self.parts.extra_flops(rows, width, density)
        dense = rows * self._training(width, 1.0) + extra
        effective = rows * self._training(width, density) + effective_extra
        self.own[0] += dense
        self.own[1] += effective
        world = ranks.world_size()
        self.tally.stand_for = world
        self.tally.add(world * dense, world * effective)

    def finish(self) -> None:
        """Replace the estimate for the other processes by their sum; all processes call it."""
        world = ranks.world_size()
        if world > 1:
            device = next(self.model.parameters()).device
            total = torch.tensor(self.own, dtype=torch.float64, device=device)
            torch.distributed.all_reduce(total)
            dense, effective = total.tolist()
            self.tally.stand_for = 1
            self.tally.add(dense - world * self.own[0], effective - world * self.own[1])
            self.tally.report()

    def _training(self, width: int, density: float) -> float:
        profile = self.tally.profile
        further = registry.further_flops(self.model, self.notes, profile, width, density)
        return profile.training(width, density) + further


class PluginTrainer(Trainer):
    """The Trainer with our order of examples, our loss, and checkpoints of tensors."""

    sampler: EpochSampler

    def equip(
        self,
        parts: Participants,
        recorder: Recorder,
        losses: callbacks.LossWatch,
        operations: Operations,
        evaluation: Evaluation | None,
    ) -> None:
        """Set the parts that the Trainer's own constructor does not take."""
        self.parts = parts
        self.recorder = recorder
        self.losses = losses
        self.operations = operations
        self.evaluation = evaluation
        self._last_place = BatchPlace(-1, 0, 0, 0)
        self.own_parameters: list[nn.Parameter] = []  # parameters of plug-ins, outside the model
        self.model_accepts_loss_kwargs = False  # our loss is a mean over the batch

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        return self.sampler

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        batch = self._changed(inputs)
        own = {name: tensor for name, tensor in batch.items() if name in MODEL_INPUTS}
        assert isinstance(self.model, PreTrainedModel)
        with self.recorder.recording():
            outputs = model(**accepted(self.model, own))
        forward = ForwardPass(
            model=model,
            outputs=outputs,
            inputs=own,
            targets={name: tensor for name, tensor in batch.items() if name not in own},
            hidden_states=self.recorder.hidden_states,
            attention=self.recorder.attention,
            as_in_data=not self.parts.batch_changers,
        )
        values = [term.value(forward) for term in self.parts.losses]
        loss = _weighted_sum(self.parts.losses, values)
        self.losses.add(loss, values)
        self.operations.add(*own["input_ids"].shape)
        for teacher in self.parts.teachers:
            teacher.forget_batch()
        return (loss, outputs) if return_outputs else loss

    def _changed(self, batch: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """The batch after the plug-ins have changed it."""
        if not self.parts.batch_changers:
            return batch
        done = self.state.global_step
        part = self._last_place.part + 1 if self._last_place.step == done else 0
        place = BatchPlace(done, part, ranks.rank(), self.args.seed)
        self._last_place = place
        for plugin in self.parts.batch_changers:
            batch = plugin.change_batch(batch, place)
            _require_batch(batch, plugin)
        return batch

    def floating_point_ops(self, inputs: Any) -> int:
        # The Trainer's estimate visits all parameters at each step; ours is exact.
        return 0

    # ---- parameters with their own settings ----

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        assert isinstance(self.model, PreTrainedModel)
        groups = [group for part in self.parts.all for group in part.parameter_groups(self.model)]
        if not groups:
            return super().create_optimizer(model)
        in_model = {id(parameter) for parameter in self.model.parameters()}
        special = {id(parameter) for group in groups for parameter in group.parameters}
        self.own_parameters = [
            parameter
            for group in groups
            for parameter in group.parameters
            if id(parameter) not in in_model
        ]
        decayed = set(self.get_decay_parameter_names(self.model))
        usual: list[dict[str, Any]] = [
            {"params": [], "weight_decay": self.args.weight_decay},
            {"params": [], "weight_decay": 0.0},
        ]
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad and id(parameter) not in special:
                usual[0 if name in decayed else 1]["params"].append(parameter)
        usual = [group for group in usual if group["params"]]
        none: list[Schedule | None] = [None]
        self.schedules = none * len(usual) + [group.schedule for group in groups]
        kind, options = self.get_optimizer_cls_and_kwargs(self.args, self.model)
        self.optimizer = kind([*usual, *(self._settings(group) for group in groups)], **options)
        self.optimizer.register_step_post_hook(self._zero_own_gradients)
        return self.optimizer

    def _zero_own_gradients(self, *of_the_hook: Any) -> None:
        # The Trainer zeroes only the model's gradients.
        for parameter in self.own_parameters:
            parameter.grad = None

    def _settings(self, group: ParameterGroup) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "params": list(group.parameters),
            "weight_decay": self.args.weight_decay
            if group.weight_decay is None
            else group.weight_decay,
        }
        if group.learning_rate is not None:
            settings["lr"] = group.learning_rate
        return settings

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        scheduler = super().create_scheduler(num_training_steps, optimizer)
        for number, schedule in enumerate(getattr(self, "schedules", [])):
            if schedule is not None:
                assert isinstance(scheduler, torch.optim.lr_scheduler.LambdaLR)
                factor = _scheduled(schedule, num_training_steps)
                scheduler.lr_lambdas[number] = factor
                group = scheduler.optimizer.param_groups[number]
                group["lr"] = scheduler.base_lrs[number] * factor(0)
        return scheduler

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        self._finish_backward()
        if not self.own_parameters:
            return super()._clip_grad_norm(model)  # type: ignore[no-untyped-call]
        parameters = [*model.parameters(), *self.own_parameters]
        return self.accelerator.clip_grad_norm_(parameters, self.args.max_grad_norm)

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        if grad_norm is None:  # gradients are not clipped
            self._finish_backward()
        return super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[no-untyped-call]

    def _finish_backward(self) -> None:
        """With the gradients of a step complete: average the plug-ins' own, then call the hooks."""
        if ranks.world_size() > 1:
            for parameter in self.own_parameters:
                if parameter.grad is not None:
                    torch.distributed.all_reduce(parameter.grad)
                    parameter.grad /= ranks.world_size()
        if self.parts.gradient_readers:
            step = callbacks.step_of(self.state, self.optimizer)
            for plugin in self.parts.gradient_readers:
                plugin.after_backward(step)

    # ---- checkpoints ----

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Save only tensors: the Trainer would pickle its arguments as well."""
        assert isinstance(self.model, PreTrainedModel)
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        checkpoints.save_tensors(
            checkpoints.trainable_state(self.model), folder / "model.safetensors"
        )
        states = {name: owner.state() for name, owner in self.parts.owners().items()}
        if self.evaluation is not None:
            states["evaluation"] = self.evaluation.state()
        checkpoints.save_states(states, folder / PLUGIN_STATE)

    def restore_states(self, checkpoint: Path) -> None:
        """Restore the states of plug-ins, teachers and evaluation from a checkpoint."""
        states = checkpoints.load_states(checkpoint / PLUGIN_STATE)
        for name, owner in self.parts.owners().items():
            owner.restore(states.get(name, {}))
        if self.evaluation is not None and "evaluation" in states:
            self.evaluation.restore(states["evaluation"])

    def load_weights(self, checkpoint: Path) -> None:
        """Load a checkpoint's weights and position, without training any further."""
        self._load_from_checkpoint(str(checkpoint))
        self.state = type(self.state).load_from_json(str(checkpoint / checkpoints.STATE))


def _weighted_sum(terms: Sequence[LossTerm], values: Sequence[torch.Tensor]) -> torch.Tensor:
    """The loss: weight x value of all terms; a single term of weight 1 is its value."""
    if len(terms) == 1 and terms[0].weight == 1:
        return values[0]
    weighted = [term.weight * value for term, value in zip(terms, values, strict=True)]
    return torch.stack(weighted).sum()


def _require_batch(batch: Mapping[str, torch.Tensor], plugin: Plugin) -> None:
    """Check a batch that a plug-in has changed.

    Raises:
        ValueError: It has no ``input_ids``, or its tensors differ in rows.
    """
    who = f"{type(plugin).__name__}.change_batch"
    if "input_ids" not in batch:
        raise ValueError(f"{who} returned a batch without input_ids")
    rows = {name: list(tensor.shape[:1]) for name, tensor in batch.items()}
    if any(count != rows["input_ids"] for count in rows.values()):
        raise ValueError(f"{who} returned tensors of different numbers of rows: {rows}")


def _scheduled(schedule: Schedule, total: int) -> Callable[[int], float]:
    def factor(done: int) -> float:
        return schedule(done, total)

    return factor
