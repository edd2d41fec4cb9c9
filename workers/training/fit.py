"""The one training loop: losses and plug-ins on transformers' Trainer."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, TrainingArguments

from pricetag.recipes.training import Optimisation
from workers.job import ranks
from workers.job.context import StageContext
from workers.job.request import Interrupted, JobError
from workers.training import callbacks, checkpoints, evaluation
from workers.training.continuation import WHOLE, Part
from workers.training.cost.tally import Tally
from workers.training.data.tokens import EpochSampler, TokenData
from workers.training.finetune import model_profile, new_tally
from workers.training.formats import registry
from workers.training.model import precision
from workers.training.model.headless import without_head
from workers.training.model.loaded import Loaded
from workers.training.model.recording import NOTHING, Needs, Recorder, prepared
from workers.training.model.wrapping import unwrapped_afterwards
from workers.training.plugin import LossTerm, Plugin
from workers.training.tasks.base import Batches
from workers.training.tasks.registry import task_of
from workers.training.teacher import Teacher
from workers.training.trainer import Operations, Participants, PluginTrainer


@dataclass(frozen=True)
class Horizon:
    """The length of the learning-rate schedule: optimizer steps if given, else epochs."""

    epochs: float
    max_steps: int | None = None


@dataclass(frozen=True)
class Outcome:
    """The result of a training.

    ``loss`` is the mean over the steps since ``resumed_from_step``; None where an earlier attempt
    had finished the training.
    """

    steps: int
    epochs: float
    loss: float | None
    precision: precision.Precision
    resumed_from_step: int
    stopped: str | None = None  # why it ended before the horizon
    best_step: int | None = None  # step of the kept weights, with keep_best

    def as_json(self) -> dict[str, Any]:
        """The outcome as plain data: ``Outcome(**data)`` restores it."""
        return asdict(self)

    def facts(self) -> dict[str, Any]:
        """Facts of the training for the card of the model."""
        facts: dict[str, Any] = {
            "steps": self.steps,
            "train_loss": self.loss,
            "precision": self.precision,
        }
        if self.loss is not None and self.resumed_from_step:
            facts["train_loss_steps"] = self.steps - self.resumed_from_step
        if self.stopped is not None:
            facts["stopped"] = self.stopped
        if self.best_step is not None:
            facts["best_step"] = self.best_step
        return facts


def fit(
    context: StageContext,
    loaded: Loaded,
    data: TokenData,
    options: Optimisation,
    *,
    horizon: Horizon,
    losses: Sequence[LossTerm] = (),
    plugins: Sequence[Plugin] = (),
    stop_at: int | None = None,
    folder: Path | None = None,
    tally: Tally | None = None,
    batches: Batches | None = None,
) -> Outcome:
    """Train ``loaded.model`` in place; resumes from the newest checkpoint in ``folder``.

    Args:
        context: The stage's context.
        loaded: The model.
        data: Training data as tokens.
        options: Options of the training.
        horizon: Length of the schedule, even if training ends before.
        losses: Terms of the loss; only the task's own if there are none.
        plugins: Techniques that take part, called in this order after the losses.
        stop_at: Step before the horizon at which training ends with a checkpoint.
        folder: Folder of the checkpoints.
        tally: Tally of the stage's operations, where it trains several times.
        batches: Makes the collator, instead of the task's own.

    Raises:
        JobError: ``loss-not-finite``, or the model cannot record what a plug-in needs.
        Interrupted: A stop was requested; a checkpoint was written.
    """
    folder = folder or context.folder / "checkpoints"
    tally = tally or new_tally(context, loaded)
    parts = Participants(list(losses) or [task_of(context).loss()], list(plugins))
    number_format = precision.choose(options.precision, context.job.device)
    mid_evaluation = evaluation.planned(context, loaded, options, tally, folder)
    loaded.model.to(context.job.device)  # type: ignore[arg-type]
    number_format = precision.usable(number_format, options.precision, loaded, context)
    with ExitStack() as stack:
        stack.enter_context(unwrapped_afterwards(loaded.model))
        recorder = _attach(stack, parts, loaded, len(data))
        watch, steps, trainer = _assemble(
            context,
            loaded,
            data,
            options,
            horizon,
            parts,
            number_format,
            folder,
            stop_at,
            mid_evaluation,
            batches or task_of(context).collator,
        )
        tally.profile = model_profile(context, loaded)  # with its plug-ins attached
        if not parts.read_logits:
            tally.profile = tally.profile.without_head()
        tally.leave_uncounted(name for plugin in parts.all for name in plugin.uncounted)
        operations = Operations(tally, parts, loaded.model, registry.describe(loaded.model))
        trainer.equip(parts, recorder, watch.losses, operations, mid_evaluation)
        start = checkpoints.newest(folder)
        if start is not None:
            context.reporter.log(f"resuming from {start.name}")
            trainer.restore_states(start)
        before = 0 if start is None else checkpoints.step_of(start)
        loss: float | None = None
        if start is not None and _is_over(before, stop_at, mid_evaluation):
            trainer.load_weights(start)
        else:
            try:
                result = trainer.train(resume_from_checkpoint=None if start is None else str(start))
                loss = result.training_loss
            finally:
                tally.report()
            operations.finish()
            watch.losses.means()
            if watch.stop_reason is not None:
                raise Interrupted(watch.stop_reason)
        for plugin in parts.all:
            plugin.detach(loaded.model)
    best_step = None
    if mid_evaluation is not None:
        mid_evaluation.finish()
        best_step = mid_evaluation.best.step if mid_evaluation.plan.keep_best else None
    return Outcome(
        steps=max(before, trainer.state.global_step),
        epochs=trainer.state.epoch or 0.0,
        loss=loss,
        precision=number_format,
        resumed_from_step=before,
        stopped=steps.stop_reason or _ended_early(mid_evaluation),
        best_step=best_step,
    )


def forget_checkpoints(context: StageContext) -> None:
    """Remove a finished stage's checkpoints; its model is kept."""
    if ranks.rank() == 0:
        shutil.rmtree(context.folder / "checkpoints", ignore_errors=True)


def _attach(stack: ExitStack, parts: Participants, loaded: Loaded, examples: int) -> Recorder:
    """Attach the plug-ins, and make the model and the teachers record what is needed."""
    for plugin in parts.all:
        plugin.attach(loaded.model)
    needs = NOTHING
    for plugin in parts.all:
        needs |= plugin.needs
    teachers: dict[int, tuple[Teacher, Needs]] = {}
    for term in parts.losses:
        if term.teacher is not None:
            _, earlier = teachers.get(id(term.teacher), (term.teacher, NOTHING))
            teachers[id(term.teacher)] = (term.teacher, earlier | term.needs)
    try:
        for teacher, of_teacher in teachers.values():
            teacher.begin(of_teacher, examples, logits=parts.read_logits)
            stack.enter_context(teacher.serving())
        if not parts.read_logits:
            stack.enter_context(without_head(loaded.model))
        return stack.enter_context(prepared(loaded.model, needs))
    except ValueError as error:
        raise JobError("attention-not-available", str(error)) from error


def _ended_early(mid: evaluation.Evaluation | None) -> str | None:
    return "no better evaluation" if mid is not None and mid.best.ended else None


def _is_over(done: int, stop_at: int | None, mid: evaluation.Evaluation | None) -> bool:
    return (stop_at is not None and done >= stop_at) or (mid is not None and mid.best.ended)


def _assemble(
    context: StageContext,
    loaded: Loaded,
    data: TokenData,
    options: Optimisation,
    horizon: Horizon,
    parts: Participants,
    number_format: precision.Precision,
    folder: Path,
    stop_at: int | None,
    mid: evaluation.Evaluation | None,
    batches: Batches,
) -> tuple[callbacks.Watch, callbacks.PluginSteps, PluginTrainer]:
    """The Trainer with its callbacks, which depend on their order."""
    sampler = EpochSampler(
        data.lengths,
        options.batch_size * options.gradient_accumulation * ranks.world_size(),
        options.seed_of_order,
        by_length=options.group_by_length,
    )
    multiple = 8 if context.job.device == "cuda" else 1
    collator = batches(loaded, seed=options.seed, multiple=multiple)
    watch = callbacks.Watch(
        context.reporter,
        callbacks.LossWatch([term.name for term in parts.losses]),
        checkpoint_after_s=options.checkpoint_after_s,
        every_s=options.checkpoint_every_s,
        stop_at=stop_at,
    )
    steps = callbacks.PluginSteps(parts.all)
    evaluating = [] if mid is None else [callbacks.MidEvaluation(mid, steps)]
    trainer = PluginTrainer(
        model=loaded.model,
        args=_arguments(context, options, horizon, number_format, folder, parts),
        train_dataset=data,
        data_collator=collator,
        callbacks=[callbacks.EpochOrder(sampler, collator), steps, *evaluating, watch],
    )
    precision.require(number_format, trainer.accelerator)
    trainer.remove_callback(PrinterCallback)
    trainer.sampler = sampler
    return watch, steps, trainer


def _arguments(
    context: StageContext,
    options: Optimisation,
    horizon: Horizon,
    number_format: precision.Precision,
    folder: Path,
    parts: Participants,
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
        # A value below 1 is a share of the steps, from 1 on a number of steps.
        warmup_steps=options.warmup_ratio if warmup is None else warmup,
        lr_scheduler_type=schedule_name,
        max_grad_norm=options.max_grad_norm,
        num_train_epochs=horizon.epochs,
        max_steps=-1 if horizon.max_steps is None else horizon.max_steps,
        seed=options.seed,
        bf16=number_format == "bf16",
        use_cpu=not cuda,
        ddp_backend=None if cuda else ("gloo" if ranks.world_size() > 1 else None),
        ddp_find_unused_parameters=any(plugin.unused_parameters for plugin in parts.all),
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


def report_training(
    context: StageContext, trained: Sequence[Outcome], *, before: Part = WHOLE
) -> None:
    """Report the outcomes of a stage's trainings, without what earlier runs had trained."""
    last = trained[-1]
    steps = sum(outcome.steps for outcome in trained) - before.start
    epochs = sum(outcome.epochs for outcome in trained) - before.start / before.per_epoch
    context.reporter.metric("steps", steps)
    context.reporter.metric("epochs", epochs)
    loss = "" if last.loss is None else f", mean loss {last.loss:.4f}"
    if loss and last.resumed_from_step:
        loss += f" over the last {last.steps - last.resumed_from_step}"
    context.reporter.log(f"trained {steps} steps in {last.precision}{loss}")
    if last.stopped is not None:
        context.reporter.log(f"training ended early: {last.stopped}")
    if last.best_step is not None:
        context.reporter.log(f"kept the weights of step {last.best_step}")
