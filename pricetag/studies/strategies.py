"""Strategies: how a study searches, and the brackets and trials that follow from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pricetag.accounting.work.search_plans import Sizes
from pricetag.recipes.base import Params
from pricetag.studies.brackets import Bracket, Rung, halving, hyperband
from pricetag.studies.space import FieldPath

MOST_TRIALS = 2_000
MOST_SEEDS = 1_000
MOST_MEMBERS = 100

NEEDS_OPTUNA = "tpe needs the package optuna on the server: pip install 'pricetag[studies]'"

Trials = Annotated[int, Field(ge=1, le=MOST_TRIALS, description="Number of trials.")]
Eta = Annotated[int, Field(ge=2, le=100, description="Factor between rungs: one of N survives.")]


def _fault(field: str, message: str, **values: object) -> PydanticCustomError:
    return PydanticCustomError("strategy", message, {**values, "field": field})


class Resource(Params):
    """What a trial gets more of in each rung: epochs or steps of a training stage."""

    field: FieldPath = Field(
        description="Path of the epochs or steps of a training stage, e.g. recipe.stages.0.epochs."
    )
    unit: float = Field(
        1, gt=0, description="Value of the field for one unit of resource, e.g. 0.1 epochs."
    )
    schedule: Literal["full", "rung"] = Field(
        "full",
        description="full: the learning-rate schedule has the length of the largest resource, and "
        "a rung continues exactly where the one before ended: all rungs of a trial together are "
        "one training of the full length. rung: each rung is a training of its own, from the "
        "weights of the one before, with a new optimizer and a schedule over what it adds.",
    )


class Grid(Params):
    """Every combination of the space."""

    kind: Literal["grid"] = Field(description="Every combination of the space.")
    points: int | None = Field(
        None, ge=2, le=1000, description="Number of values of each range. Choices have all theirs."
    )


class RandomSearch(Params):
    """Random combinations.

    Source: Bergstra and Bengio 2012, Random Search for Hyper-Parameter Optimization, JMLR 13.
    """

    kind: Literal["random"] = Field(description="Random combinations.")
    trials: Trials


class Tpe(Params):
    """Combinations that resemble the better ones so far, by Optuna's sampler.

    Source: Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization, NeurIPS 24.
    """

    kind: Literal["tpe"] = Field(
        description="Combinations that resemble the better ones so far (needs optuna)."
    )
    trials: Trials
    random_trials: int = Field(
        10, ge=1, le=MOST_TRIALS, description="Number of random trials at the beginning."
    )


class EarlyStop(Params):
    """When the worst seeds stop."""

    after: float = Field(gt=0, description="Resource after which the worst trials stop.")
    stop: int = Field(ge=1, le=MOST_TRIALS, description="Number of trials that stop then.")
    resource: Resource | None = Field(
        None, description="Field that counts the resource; null for commands, which read it."
    )
    full: float = Field(gt=0, description="Resource of a finished trial.")


class Seeds(Params):
    """The same job with several seeds, perhaps without finishing the worst of them.

    Source: Dodge et al. 2020, Fine-Tuning Pretrained Language Models, arXiv:2002.06305.
    """

    kind: Literal["seeds"] = Field(description="The same job with several seeds.")
    initializations: int = Field(
        ge=1, le=MOST_SEEDS, description="Number of seeds of the initialization."
    )
    orders: int = Field(
        1,
        ge=1,
        le=MOST_SEEDS,
        description="Number of seeds of the order of examples, each with every initialization.",
    )
    first: int = Field(0, ge=0, le=2**31, description="First seed of both.")
    initialization_field: FieldPath = Field(
        default="recipe.stages.0.seed", description="Path of the seed of the initialization."
    )
    order_field: FieldPath | None = Field(
        None,
        description="Path of the seed of the order of examples; needed for several orders.",
    )
    early_stop: EarlyStop | None = Field(
        None, description="Start all, stop the worst, finish the others. Default: finish all."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        count = self.initializations * self.orders
        if count > MOST_TRIALS:
            raise _fault(
                "orders", "makes {count} trials; at most {most}", count=count, most=MOST_TRIALS
            )
        if self.orders > 1 and self.order_field is None:
            raise _fault(
                "order_field", "is missing: {orders} orders need their own seed", orders=self.orders
            )
        if self.order_field == self.initialization_field:
            raise _fault("order_field", "must be another field than initialization_field")
        if (early := self.early_stop) is not None:
            if early.stop >= count:
                raise _fault(
                    "early_stop.stop",
                    "must be less than the {count} trials (got {stop})",
                    count=count,
                    stop=early.stop,
                )
            if early.after >= early.full:
                raise _fault(
                    "early_stop.after",
                    "must be less than full, {full} (got {after})",
                    full=f"{early.full:g}",
                    after=f"{early.after:g}",
                )
        return self


class RungOfList(Params):
    """A rung of one's own."""

    trials: Trials
    resource: float = Field(gt=0, description="Total resource of each trial at its end.")


class SuccessiveHalving(Params):
    """All trials with little resource, the better ones with more, down to one.

    Source: Jamieson and Talwalkar 2016, arXiv:1502.07943.
    """

    kind: Literal["successive_halving"] = Field(
        description="All trials with little resource, the better ones with more."
    )
    trials: int | None = Field(
        None, ge=1, le=MOST_TRIALS, description="Number of trials of the first rung."
    )
    min_resource: float = Field(1, gt=0, description="Resource of the first rung.")
    max_resource: float | None = Field(
        None, gt=0, description="Largest resource of a rung. Default: rungs down to one trial."
    )
    eta: Eta = 3
    rungs: Annotated[list[RungOfList], Field(min_length=1, max_length=50)] | None = Field(
        None, description="Rungs in order, instead of trials, min_resource, max_resource and eta."
    )
    resource: Resource | None = Field(
        None, description="Field that counts the resource; null for commands, which read it."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.rungs is None:
            if self.trials is None:
                raise _fault("trials", "is missing: the number of trials, or rungs")
            _check_range(self.min_resource, self.max_resource)
            return self
        if self.trials is not None:
            raise _fault("rungs", "use rungs or trials, not both")
        for place, (before, rung) in enumerate(zip(self.rungs, self.rungs[1:], strict=False), 1):
            for name, more in (("trials", False), ("resource", True)):
                earlier, value = getattr(before, name), getattr(rung, name)
                if (value <= earlier) if more else (value >= earlier):
                    raise _fault(
                        f"rungs.{place}.{name}",
                        "must be {how} than in the rung before (got {value} after {earlier})",
                        how="more" if more else "less",
                        value=f"{value:g}",
                        earlier=f"{earlier:g}",
                    )
        return self


def _check_range(least: float, most: float | None) -> None:
    if most is not None and most < least:
        raise _fault(
            "max_resource",
            "must be at least min_resource, {least} (got {most})",
            least=f"{least:g}",
            most=f"{most:g}",
        )


class Hyperband(Params):
    """Several successive halvings, from many short trials to few long ones.

    Source: Li et al. 2018, Hyperband, JMLR 18(185), arXiv:1603.06560.
    """

    kind: Literal["hyperband"] = Field(
        description="Several successive halvings, from many short trials to few long ones."
    )
    max_resource: int = Field(ge=1, le=10**6, description="Largest resource of a trial, R.")
    eta: Eta = 3
    table: Sizes = Field(
        "ceil",
        description="Size of brackets: ceil as in the published algorithm, or floor as in the "
        "table of its paper.",
    )
    resource: Resource | None = Field(
        None, description="Field that counts the resource; null for commands, which read it."
    )

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        count = sum(bracket.rungs[0].trials for bracket in self.brackets())
        if count > MOST_TRIALS:
            raise _fault(
                "max_resource",
                "makes {count} trials; at most {most}",
                count=count,
                most=MOST_TRIALS,
            )
        return self

    def brackets(self) -> tuple[Bracket, ...]:
        """The table of its brackets."""
        return hyperband(self.max_resource, self.eta, self.table)


class Asha(Params):
    """Successive halving that promotes a trial as soon as it is among the best of its rung.

    Source: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, algorithm 2,
    arXiv:1810.05934.
    """

    kind: Literal["asha"] = Field(
        description="Successive halving that does not wait for the whole rung."
    )
    trials: Trials
    min_resource: float = Field(1, gt=0, description="Resource of the first rung.")
    max_resource: float = Field(gt=0, description="Largest resource of a trial.")
    eta: Eta = 3
    resource: Resource | None = Field(
        None, description="Field that counts the resource; null for commands, which read it."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_range(self.min_resource, self.max_resource)
        return self


class ModelSizes(Params):
    """Models of several sizes."""

    field: FieldPath = Field(
        default="recipe.model", description="Path of the field that sets the size of the model."
    )
    values: Annotated[list[Any], Field(min_length=1, max_length=100)] = Field(
        description="Its values: folders of models, or numbers of layers."
    )


FULL_BITS = 32


class TrainLargeThenCompress(Params):
    """Models of several sizes, each trained once and compressed to several sparsities and bits.

    Source: Li et al. 2020, Train Large, Then Compress, section 4, arXiv:2002.11794.
    """

    kind: Literal["train_large_then_compress"] = Field(
        description="Models of several sizes, each trained once, then pruned and quantized."
    )
    sizes: ModelSizes = Field(description="The sizes of the model.")
    sparsities: Annotated[
        list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=1, max_length=100)
    ] = Field(description="Shares of pruned weights; 0 for none.")
    bits: Annotated[
        list[Annotated[int, Field(ge=2, le=FULL_BITS)]], Field(min_length=1, max_length=31)
    ] = Field(description="Bits of a weight; 32 for weights that are not quantized.")
    prune: dict[str, Any] = Field(
        default_factory=dict,
        description="Options of the prune stage, e.g. recovery_epochs. Default: its defaults.",
    )
    quantize: dict[str, Any] = Field(
        default_factory=lambda: {"method": "weight_only"},
        description="Options of the quantize stage, which has the option bits. Default: method "
        "weight_only, with 8 or 4 bits.",
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for option in ("sparsities", "bits"):
            values = getattr(self, option)
            if len(set(values)) < len(values):
                raise _fault(option, "lists a value twice")
        if not self.compressions:
            raise _fault("sparsities", "compresses nothing: list a sparsity above 0, or fewer bits")
        count = len(self.sizes.values) * (1 + len(self.compressions))
        if count > MOST_TRIALS:
            raise _fault(
                "sizes", "makes {count} trials; at most {most}", count=count, most=MOST_TRIALS
            )
        return self

    @property
    def compressions(self) -> list[tuple[float, int]]:
        """Sparsity and bits of each compressed model; the trained one is not among them."""
        pairs = [(sparsity, bits) for sparsity in self.sparsities for bits in self.bits]
        return [pair for pair in pairs if pair != (0.0, FULL_BITS)]


class Ensemble(Params):
    """The same classifier with several seeds, whose class probabilities are averaged.

    Source: Lakshminarayanan et al. 2017, Simple and Scalable Predictive Uncertainty Estimation
    using Deep Ensembles, section 2.4, arXiv:1612.01474.
    """

    kind: Literal["ensemble"] = Field(
        description="The same classifier with several seeds, whose class probabilities are "
        "averaged: accuracy and cost against the number of members."
    )
    members: int = Field(ge=2, le=MOST_MEMBERS, description="Number of members, one for each seed.")
    first: int = Field(0, ge=0, le=2**31, description="First seed.")
    seed_field: FieldPath = Field(default="recipe.stages.0.seed", description="Path of the seed.")


class PowerSweep(Params):
    """One training with several power limits of its accelerators.

    Source: You, Chung and Chowdhury 2023, Zeus: Understanding and Optimizing GPU Energy
    Consumption of DNN Training, NSDI 23, section 3.2.
    """

    kind: Literal["power_sweep"] = Field(
        description="The same job with several power limits of its accelerators: energy, time and "
        "Zeus' cost against the limit."
    )
    limits_w: Annotated[
        list[Annotated[float, Field(ge=1, le=10_000)]], Field(min_length=2, max_length=100)
    ] = Field(description="Power limits of each accelerator, in W; each is one trial.")
    eta: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Weight of energy in the cost, from 0 (time alone) to 1 (energy alone).",
    )
    target: float | None = Field(
        None,
        allow_inf_nan=False,
        description="Score that a trial has to reach to be the best. Default: any that succeeded.",
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.limits_w)) < len(self.limits_w):
            raise _fault("limits_w", "lists a limit twice")
        return self


Strategy = Annotated[
    Grid
    | RandomSearch
    | Tpe
    | Seeds
    | SuccessiveHalving
    | Hyperband
    | Asha
    | TrainLargeThenCompress
    | Ensemble
    | PowerSweep,
    Field(discriminator="kind"),
]


def resource_of(strategy: Strategy) -> Resource | None:
    """The field that counts the strategy's resource."""
    if isinstance(strategy, Seeds):
        return None if strategy.early_stop is None else strategy.early_stop.resource
    return getattr(strategy, "resource", None)


def brackets_of(strategy: Strategy, combinations: int) -> tuple[Bracket, ...]:
    """The brackets of a strategy.

    Args:
        strategy: The strategy.
        combinations: Number of combinations of a grid, of sizes and compressions, or of members.
    """
    match strategy:
        case Grid() | TrainLargeThenCompress() | Ensemble() | PowerSweep():
            rungs: tuple[Rung, ...] = (Rung(combinations),)
        case RandomSearch() | Tpe():
            rungs = (Rung(strategy.trials),)
        case Seeds():
            rungs = _seed_rungs(strategy)
        case SuccessiveHalving():
            rungs = _halving_rungs(strategy)
        case Hyperband():
            return strategy.brackets()
        case Asha():
            rungs = _asha_rungs(strategy)
    return (Bracket(0, rungs),)


def _seed_rungs(strategy: Seeds) -> tuple[Rung, ...]:
    count = strategy.initializations * strategy.orders
    early = strategy.early_stop
    if early is None:
        return (Rung(count),)
    return Rung(count, float(early.after)), Rung(count - early.stop, float(early.full))


def _halving_rungs(strategy: SuccessiveHalving) -> tuple[Rung, ...]:
    if strategy.rungs is not None:
        return tuple(Rung(rung.trials, float(rung.resource)) for rung in strategy.rungs)
    assert strategy.trials is not None
    return halving(strategy.trials, strategy.min_resource, strategy.eta, strategy.max_resource)


def _asha_rungs(strategy: Asha) -> tuple[Rung, ...]:
    """Rungs by the factor; the last has the largest resource. How many reach each is open."""
    amounts = []
    amount = float(strategy.min_resource)
    while amount < strategy.max_resource:
        amounts.append(amount)
        amount *= strategy.eta
    return tuple(Rung(strategy.trials, each) for each in [*amounts, float(strategy.max_resource)])
