"""A stage that cuts heads and neurons out of a model, once, and trains what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pricetag.recipes.training import Recovery
from workers.job.context import StageContext
from workers.training import sparsity
from workers.training.decisions import decided
from workers.training.finetune import new_tally, training_data
from workers.training.fit import Horizon, Outcome, fit, report_training
from workers.training.model.loaded import Loaded
from workers.training.plugin import LossTerm, Plugin
from workers.training.rounds import Result, Round, run_rounds
from workers.training.structured.batch_losses import Loss, Sample, batch_losses
from workers.training.structured.checks import require_units
from workers.training.structured.places import PARTS
from workers.training.structured.units import Units, cut, scale_units

Scores = Mapping[str, list[list[float]]]
"""By part (``heads``, ``neurons``) for each layer the scores of its units."""


@dataclass(frozen=True)
class Choice:
    """The units that remain; for some parts the factors of what they add to the hidden states."""

    units: Units
    factors: Scores = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The choice as plain data."""
        return {"units": self.units.as_json(), "factors": dict(self.factors)}


class UnitStage:
    """Cuts units out of a stage's model in place: choose, cut, retrain.

    Args:
        context: The stage's context.
        loaded: The model, changed in place.
        params: The stage's options.
        losses: Terms of the loss in all training.

    Raises:
        JobError: ``already-quantized`` or ``heads-not-removable``.
    """

    def __init__(
        self,
        context: StageContext,
        loaded: Loaded,
        params: Recovery,
        losses: Sequence[LossTerm],
    ) -> None:
        self.context, self.loaded, self.params = context, loaded, params
        self.losses = list(losses)
        self.units = require_units(context, loaded)
        self.tally = new_tally(context, loaded)

    def batch_losses(self, sample: Sample) -> Iterator[Loss]:
        """See ``batch_losses``; the operations are the stage's."""
        return batch_losses(self.context, self.loaded, sample, self.tally)

    def train(
        self,
        round_: Round,
        epochs: float,
        terms: Sequence[LossTerm] = (),
        plugins: Sequence[Plugin] = (),
    ) -> Outcome:
        """Train the model; pruned weights stay zero.

        Args:
            round_: The round, which has the folder of the checkpoints.
            epochs: Length of the training.
            terms: Further terms of the loss.
            plugins: Techniques that take part.
        """
        zeros = sparsity.decide(self.context, self.loaded, None)
        return fit(
            self.context,
            self.loaded,
            training_data(self.context, self.loaded, self.params.max_length),
            self.params,
            horizon=Horizon(epochs),
            losses=[*self.losses, *terms],
            plugins=[*plugins, *zeros.plugins],
            folder=round_.folder,
            tally=self.tally,
        )

    def carry_out(
        self,
        choose: Callable[[], Choice],
        prepare: Callable[[Round], Outcome] | None = None,
    ) -> dict[str, Any]:
        """Do all of it; returns facts for the model's card.

        Args:
            choose: Chooses the units that remain; called on rank 0, once for all attempts.
            prepare: A training before the choice, if there is one.

        Raises:
            JobError: The training cannot be done.
            Interrupted: A stop was requested; the next attempt resumes in the same training.
        """

        def one_round(round_: Round) -> Result:
            if round_.number > 0:
                return {"outcome": self.train(round_, self.params.recovery_epochs).as_json()}
            trained = None if prepare is None else prepare(round_)
            choice = decided(self.context, "units", lambda: choose().as_json())
            self._cut(choice)
            scale_units(self.loaded.model, *(self._factors(choice, part) for part in PARTS))
            return {"outcome": None if trained is None else trained.as_json(), "choice": choice}

        rounds = 2 if self.params.recovery_epochs > 0 else 1
        results = run_rounds(
            self.context,
            self.loaded.model,
            rounds,
            one_round,
            change_again=lambda result: self._cut(result["choice"]),
        )
        if self.tally.dense > 0:
            self.tally.report()
        outcomes = [
            Outcome(**round_result["outcome"])
            for round_result in results
            if round_result["outcome"] is not None
        ]
        if outcomes:
            report_training(self.context, outcomes)
        facts = outcomes[-1].facts() if outcomes else {}
        return {**facts, **self._report(Units(**results[0]["choice"]["units"]))}

    def _cut(self, choice: Mapping[str, Any]) -> None:
        cut(self.loaded.model, self.units, Units(**choice["units"]))

    def _factors(self, choice: Mapping[str, Any], part: str) -> list[list[float]]:
        units: list[list[int]] = choice["units"][part]
        factors: list[list[float]] = choice["factors"].get(part, [[1.0] * len(e) for e in units])
        return factors

    def _report(self, left: Units) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        for part, before, after in zip(PARTS, self.units.counts(), left.counts(), strict=True):
            self.context.reporter.metric(f"{part}_left", after)
            self.context.reporter.log(f"{before - after} of {before} {part} removed")
            facts |= {f"{part}_before": before, f"{part}_left": after}
        neurons = [len(layer) for layer in left.neurons]
        return {**facts, "heads_by_layer": left.heads, "neurons_by_layer": neurons}
