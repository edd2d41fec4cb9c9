"""Lottery tickets: masks by iterative magnitude pruning, weights rewound; and their controls.

Source: Chen, Frankle, Chang, Liu, Zhang, Wang, Carbin 2020, The Lottery Ticket Hypothesis for
Pre-trained BERT Networks, arXiv:2007.12223; Frankle, Carbin 2019, The Lottery Ticket Hypothesis,
arXiv:1803.03635; Prasanna, Rogers, Rumshisky 2020, When BERT Plays the Lottery, All Tickets Are
Winning, arXiv:2005.00561.
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import torch
from torch import nn
from transformers import PreTrainedModel

from pricetag.recipes.methods.prune_lottery_ticket import PruneLotteryTicket
from workers.job.request import JobError
from workers.training.checkpoints import trainable_state
from workers.training.formats.sparse import Matrix, prunable
from workers.training.pruning.masks import Masks, Scores, apply_masks, choose, keep_best
from workers.training.pruning.schedule import round_sparsities
from workers.training.pruning.selection import with_others
from workers.training.pruning.tickets import Tensors, Tickets

Select = Literal["good", "random", "bad"]

_LAYER = re.compile(r"^(.*\.(?:layer|h)\.)(\d+)(\..*)$")


def with_pooler(model: nn.Module) -> dict[str, Matrix]:
    """The encoder's matrices and the pooler: in BERT 73, of 85,524,480 weights in BERT-base.

    Source: Chen et al. 2020, section 3; the authors' code, pruning_model.
    """
    return with_others(model, embeddings=False)


def shuffled_layers(
    tensors: Mapping[str, torch.Tensor], generator: torch.Generator
) -> dict[str, torch.Tensor]:
    """A model's tensors with its layers permuted: not all layers keep their own tensors.

    Args:
        tensors: Tensors by name.
        generator: Random numbers.

    Raises:
        ValueError: There are fewer than two layers to permute.

    Source: Chen et al. 2020, section 4, shuffled weights; the authors' code permutes layers.
    """
    numbers = sorted({int(match[2]) for name in tensors if (match := _LAYER.match(name))})
    if len(numbers) < 2:
        raise ValueError(f"needs two layers or more to permute (there are {len(numbers)})")
    order = torch.randperm(len(numbers), generator=generator).tolist()
    while order == sorted(order):  # not the ticket itself
        order = torch.randperm(len(numbers), generator=generator).tolist()
    source = {number: numbers[order[place]] for place, number in enumerate(numbers)}
    return {
        name: tensors[f"{match[1]}{source[int(match[2])]}{match[3]}"] if match else tensor
        for name, tensor in tensors.items()
        for match in [_LAYER.match(name)]
    }


def shuffled_elements(
    tensors: Mapping[str, torch.Tensor], names: Sequence[str], generator: torch.Generator
) -> dict[str, torch.Tensor]:
    """A model's tensors with the elements of some of them permuted, each within its tensor.

    Args:
        tensors: Tensors by name.
        names: Names of the tensors to permute.
        generator: Random numbers.

    Source: Chen et al. 2020, section 4, shuffled weights.
    """
    shuffled = dict(tensors)
    for name in names:
        flat = tensors[name].flatten()
        order = torch.randperm(len(flat), generator=generator).to(flat.device)
        shuffled[name] = flat[order].view_as(tensors[name])
    return shuffled


def random_weights(model: PreTrainedModel, seed: int) -> dict[str, torch.Tensor]:
    """Random weights of a model's configuration, by name.

    Args:
        model: A model whose modules follow from its configuration.
        seed: Seed of the random numbers.

    Raises:
        JobError: ``bad-model``: the model's tensors are not those of its configuration.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = type(model)(copy.deepcopy(model.config))
    tensors, own = trainable_state(fresh), trainable_state(model)
    if {n: t.shape for n, t in tensors.items()} != {n: t.shape for n, t in own.items()}:
        raise JobError("bad-model", "control: random_weights needs a model of the plain format")
    return tensors


def random_ticket(model: nn.Module, params: PruneLotteryTicket) -> None:
    """The control with a random mask: prunes random weights of the initial model, in place.

    Source: Chen et al. 2020, section 4, random pruning.
    """
    select = with_pooler if params.pooler else prunable
    matrices = select(model)
    scores = {
        name: torch.rand(matrix.weight.shape, generator=_generator(params.seed, name)).to(
            matrix.weight.device
        )
        for name, matrix in matrices.items()
    }
    apply_masks(matrices, choose(matrices, lambda _: scores, params.sparsity, "global"))


def subnetwork(ticket: Masks, select: Select, seed: int) -> Masks:
    """The masks of a good, a random or a bad subnetwork of the ticket's size.

    Good is the ticket. Random keeps as many weights of all, drawn at random. Bad keeps weights that
    the ticket pruned, drawn at random, and others if there are too few.

    Args:
        ticket: The ticket's masks by matrix.
        select: Which weights stay.
        seed: Seed of the stage.

    Source: Prasanna, Rogers, Rumshisky 2020, section 4.
    """
    if select == "good":
        return ticket
    names = list(ticket)
    drawn = [
        torch.rand(mask.shape, generator=_generator(seed, f"{select}/{name}")).to(mask.device)
        for name, mask in ticket.items()
    ]
    if select == "bad":  # every pruned weight before any kept one
        drawn = [draws + ~ticket[name] for name, draws in zip(names, drawn, strict=True)]
    kept_count = sum(int(torch.count_nonzero(mask)) for mask in ticket.values())
    return dict(zip(names, keep_best(drawn, kept_count), strict=True))


def plan(model: PreTrainedModel, params: PruneLotteryTicket) -> Tickets:
    """How a stage's options find its ticket.

    Args:
        model: The stage's model.
        params: The stage's options.

    Source: Chen et al. 2020, section 3, algorithm 1.
    """
    shares = round_sparsities(params.sparsity, max(params.ticket_rounds, 1))

    def masks(matrices: Mapping[str, Matrix], number: int) -> Masks:
        ticket = choose(matrices, _magnitudes, shares[number], "global")
        is_last = number == params.ticket_rounds - 1
        return subnetwork(ticket, params.select, params.seed) if is_last else ticket

    base = f"{model.base_model_prefix}."
    return Tickets(
        rounds=params.ticket_rounds,
        rewind_at=None if params.rewind_to == "standard" else float(params.rewind_to),
        rewinds=lambda name: params.rewind_head or name.startswith(base),
        select=with_pooler if params.pooler else prunable,
        masks=masks,
        control=partial(_controlled, model, params),
    )


def _controlled(model: PreTrainedModel, params: PruneLotteryTicket, tensors: Tensors) -> Tensors:
    draws = _generator(params.seed, str(params.control))
    if params.control == "random_weights":
        fresh = random_weights(model, int(torch.randint(2**31, (1,), generator=draws)))
        base = f"{model.base_model_prefix}."
        return {n: fresh[n] if n.startswith(base) else t for n, t in tensors.items()}
    if params.control == "shuffled_layers":
        return shuffled_layers(tensors, draws)
    if params.control == "shuffled_elements":
        select = with_pooler if params.pooler else prunable
        return shuffled_elements(tensors, [f"{name}.weight" for name in select(model)], draws)
    return tensors


def _magnitudes(matrices: Mapping[str, Matrix]) -> Scores:
    return {name: matrix.weight.detach().abs() for name, matrix in matrices.items()}


def _generator(seed: int, purpose: str) -> torch.Generator:
    digest = hashlib.sha256(f"lottery ticket/{seed}/{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
