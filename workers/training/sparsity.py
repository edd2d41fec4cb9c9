"""Zeros of a pruned model in later training: kept by default, never filled without a log line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workers.job.context import StageContext
from workers.training.finetune import full_profile
from workers.training.model.loaded import Loaded
from workers.training.plugin import Plugin
from workers.training.pruning.masker import KeepZeros
from workers.training.pruning.selection import with_pruned_others


@dataclass(frozen=True)
class Sparsity:
    """How a training stage treats the zeros of the model that it starts from."""

    plugins: tuple[Plugin, ...]
    before: float | None  # None: the model is dense

    def report(
        self, context: StageContext, loaded: Loaded, plugins: Iterable[Plugin] = ()
    ) -> Mapping[str, Any]:
        """Report the sparsity after training; returns it as facts of the stage's result.

        Args:
            context: The stage's context.
            loaded: The model after training.
            plugins: Plug-ins that took part; some may have pruned a dense model.
        """
        prunes = any(plugin.density() is not None for plugin in plugins)
        if self.before is None and not prunes:
            return {}
        after = full_profile(context, loaded).sparsity
        context.reporter.metric("encoder_sparsity", after)
        if self.before is None:
            return {"encoder_sparsity": after}
        return {
            "sparsity_kept": bool(self.plugins),
            "encoder_sparsity_before": self.before,
            "encoder_sparsity": after,
        }


def decide(context: StageContext, loaded: Loaded, keep: bool | None) -> Sparsity:
    """Keep a pruned model's zeros through training unless the stage says ``keep: false``."""
    profile = full_profile(context, loaded)
    if not profile.is_sparse:
        if keep:
            context.reporter.log("keep_sparsity: the model has no pruned weights to keep")
        return Sparsity((), None)
    sparsity = profile.sparsity
    if keep is False:
        context.reporter.log(
            f"keep_sparsity is false: training fills the pruned weights; encoder sparsity was "
            f"{sparsity:.1%}",
        )
        return Sparsity((), sparsity)
    context.reporter.log(f"pruned weights stay zero: encoder sparsity {sparsity:.1%}")
    return Sparsity((KeepZeros(with_pruned_others),), sparsity)
