"""The training loop: transformers' Trainer, with techniques as plug-ins."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainingArguments

from pricetag.recipes.stages import Optimisation
from workers.job import ranks
from workers.job.context import StageContext
from workers.job.request import Interrupted
from workers.training import callbacks, checkpoints
from workers.training.cost.flops import FlopProfile
from workers.training.cost.tally import Tally
from workers.training.data.tokens import Batch, Collator, EpochSampler, TokenData
from workers.training.losses import TaskLoss
from workers.training.model import precision
from workers.training.model.models import Loaded
from workers.training.plugins import LossInputs, LossTerm, Plugin

PLUGIN_STATE = "plugins.safetensors"


@dataclass(frozen=True)
class Length:
    """How long to train: optimizer steps if given, else epochs."""

    epochs: float
    max_steps: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What a training did."""

    steps: int
    epochs: float
    loss: float
    precision: precision.Precision
    resumed_from_step: int


def train(
    context: StageContext,
    loaded: Loaded,
    data: TokenData,
    options: Optimisation,
    length: Length,
    *,
    profile: FlopProfile,
    tally: Tally,
    density: float = 1.0,
    plugins: Sequence[Plugin] = (),
    folder: Path | None = None,
) -> Outcome:
    """Train ``loaded.model`` in place; resumes from the newest checkpoint in ``folder``.

    The operations go to ``tally``; ``density`` is the share of the encoder's weights that are
    not zero, and stay so.

    Raises:
        JobError: ``loss-not-finite``.
        Interrupted: a stop was asked for; a checkpoint was written.
    """
    folder = folder or context.folder / "checkpoints"
    chosen = precision.choose(options.precision, context.job.device)
    for plugin in plugins:
        plugin.attach(loaded.model)
    losses = callbacks.LossWatch()
    sampler = EpochSampler(
        data.lengths,
        options.batch_size * options.gradient_accumulation * ranks.world_size(),
        options.seed,
        by_length=options.group_by_length,
    )
    watch = callbacks.Watch(
        context.reporter,
        losses,
        checkpoint_after_s=options.checkpoint_after_s,
        every_s=options.checkpoint_every_s,
    )
    trainer = _Trainer(
        model=loaded.model,
        args=_arguments(context, options, length, chosen, folder),
        train_dataset=data,
        data_collator=Collator(
            pad_token_id=int(loaded.tokenizer.pad_token_id or 0),
            regression=loaded.regression,
            multiple=8 if context.job.device == "cuda" else 1,
        ),
        callbacks=[callbacks.EpochOrder(sampler), callbacks.PluginSteps(plugins), watch],
    )
    precision.require(chosen, trainer.accelerator)
    trainer.remove_callback(PrinterCallback)
    trainer.equip(sampler, plugins, losses, Operations(profile, tally, density))
    start = checkpoints.newest(folder)
    if start is not None:
        context.reporter.log(f"resuming from {start.name}")
        trainer.restore_plugins(start)
    try:
        answer = trainer.train(resume_from_checkpoint=None if start is None else str(start))
    finally:
        tally.tell()
    losses.look()
    if watch.stop_reason is not None:
        raise Interrupted(watch.stop_reason)
    for plugin in plugins:
        plugin.detach(loaded.model)
    return Outcome(
        steps=answer.global_step,
        epochs=trainer.state.epoch or 0.0,
        loss=answer.training_loss,
        precision=chosen,
        resumed_from_step=0 if start is None else int(start.name.rpartition("-")[2]),
    )


def forget_checkpoints(context: StageContext) -> None:
    """Remove a finished stage's checkpoints: the model itself is kept."""
    if ranks.rank() == 0:
        shutil.rmtree(context.folder / "checkpoints", ignore_errors=True)


def _arguments(
    context: StageContext,
    options: Optimisation,
    length: Length,
    chosen: precision.Precision,
    folder: Path,
) -> TrainingArguments:
    cuda = context.job.device == "cuda"
    warmup = options.warmup_steps
    schedule = options.schedule
    if schedule == "constant" and (warmup or options.warmup_ratio):
        schedule_name = "constant_with_warmup"
    else:
        schedule_name = schedule
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=options.batch_size,
        gradient_accumulation_steps=options.gradient_accumulation,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        # Below 1 it is a share of the steps, from 1 on a number of them.
        warmup_steps=options.warmup_ratio if warmup is None else warmup,
        lr_scheduler_type=schedule_name,
        max_grad_norm=options.max_grad_norm,
        num_train_epochs=length.epochs,
        max_steps=-1 if length.max_steps is None else length.max_steps,
        seed=options.seed,
        bf16=chosen == "bf16",
        use_cpu=not cuda,
        ddp_backend=None if cuda else ("gloo" if ranks.world_size() > 1 else None),
        ddp_find_unused_parameters=False,
        optim="adamw_torch_fused",
        save_strategy="no",  # the clock decides, see callbacks.Watch
        save_total_limit=1,
        logging_strategy="no",
        logging_nan_inf_filter=False,
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=cuda,
        average_tokens_across_devices=False,
        log_level="error",
    )


@dataclass(frozen=True)
class Operations:
    """Counts the operations of this process's batches for all of them."""

    profile: FlopProfile
    tally: Tally
    density: float

    def add(self, rows: int, width: int, others: float) -> None:
        """A batch ``[rows, width]`` forward and backward, and other models' forward passes."""
        dense = rows * self.profile.training(width)
        effective = rows * self.profile.training(width, self.density)
        world = ranks.world_size()
        self.tally.add(world * (dense + others), world * (effective + others))


class _Trainer(Trainer):
    """The Trainer with our order of examples, our loss, and checkpoints without pickles."""

    def equip(
        self,
        sampler: EpochSampler,
        plugins: Sequence[Plugin],
        losses: callbacks.LossWatch,
        operations: Operations,
    ) -> None:
        """Hand over what the Trainer's own constructor has no place for."""
        self.sampler = sampler
        self.plugins = list(plugins)
        self.losses = losses
        self.operations = operations
        terms = [plugin for plugin in plugins if isinstance(plugin, LossTerm)]
        self.terms: list[LossTerm] = terms or [TaskLoss()]
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
        index, labels = inputs.pop("index"), inputs.pop("labels")
        outputs = model(**inputs)
        given = LossInputs(
            model=model,
            outputs=outputs,
            logits=outputs.logits.float(),
            labels=labels,
            index=index,
            inputs=inputs,
        )
        loss = torch.stack([term.weight * term.value(given) for term in self.terms]).sum()
        self.losses.add(loss)
        self._count(inputs["input_ids"])
        return (loss, outputs) if return_outputs else loss

    def _count(self, ids: torch.Tensor) -> None:
        rows, width = ids.shape
        others = sum(term.forward_flops(rows, width) for term in self.terms)
        self.operations.add(rows, width, others)

    def floating_point_ops(self, inputs: Any) -> int:
        # The Trainer's estimate walks over all parameters at each step; ours is exact.
        return 0

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Weights alone: the Trainer would pickle its arguments beside them."""
        assert isinstance(self.model, PreTrainedModel)
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(folder, state_dict=state_dict)
        tensors = {
            f"{number}.{name}": tensor.contiguous()
            for number, plugin in enumerate(self.plugins)
            for name, tensor in plugin.state().items()
        }
        save_file(tensors, folder / PLUGIN_STATE)

    def restore_plugins(self, checkpoint: Path) -> None:
        """Give the plug-ins back what the checkpoint kept for them."""
        tensors = load_file(checkpoint / PLUGIN_STATE)
        for number, plugin in enumerate(self.plugins):
            prefix = f"{number}."
            plugin.restore(
                {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            )
