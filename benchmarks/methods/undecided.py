"""``--undecided``: the runs that may decide what is not decided yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.methods.catalog import Catalog
from benchmarks.methods.claims import Claim
from benchmarks.methods.plan import Trial
from benchmarks.methods.results import Results

UNKNOWN_S = 120.0


@dataclass(frozen=True)
class Open:
    """A claim that further runs may decide.

    Attributes:
        claim: The claim.
        trials: The runs that are missing, in an order in which they can run.
        seconds: How long they take, by the first seed, s.
    """

    claim: Claim
    trials: tuple[Trial, ...]
    seconds: float


def open_claims(
    catalog: Catalog, claims: Iterable[Claim], results: Mapping[str, Results], seeds: int
) -> list[Open]:
    """The claims that further seeds or a larger budget may decide, the cheapest one first.

    A claim within the noise needs more seeds of its runs; one whose models learn nothing, the same
    runs with a larger budget, where the claim names them. A missing time needs no run.

    Args:
        catalog: All runs.
        claims: All claims.
        results: Results by data set.
        seeds: Number of seeds that each run should have.
    """
    listed = []
    for claim in claims:
        of = results.get(claim.data)
        needs = None if of is None else claim.decide(of.sample).needs
        if of is None or needs not in ("seeds", "budget"):
            continue
        if needs == "seeds":
            missing = _missing(catalog, claim, claim.deciding(of.sample), of, range(1, seeds))
        else:
            missing = _missing(catalog, claim, claim.larger(), of, range(1))
        if missing:
            listed.append(Open(claim, tuple(missing), sum(_seconds(of, t) for t in missing)))
    return sorted(listed, key=lambda each: each.seconds)


def open_trials(claims: Sequence[Open]) -> list[Trial]:
    """The runs of several claims, each once."""
    return list(dict.fromkeys(trial for each in claims for trial in each.trials))


def _missing(
    catalog: Catalog, claim: Claim, names: Sequence[str], of: Results, seeds: Iterable[int]
) -> list[Trial]:
    entries = catalog.with_upstream(names)
    wanted = [Trial(seed, claim.data, entry.name) for seed in seeds for entry in entries]
    present = {record.trial for entry in entries for record in of.records.get(entry.name, [])}
    return [trial for trial in wanted if trial not in present]


def _seconds(of: Results, trial: Trial) -> float:
    """Duration of a run by another seed, s; if none is known, a long one."""
    durations = [run.duration_s for run in of.runs(trial.name) if run.duration_s is not None]
    return durations[0] if durations else UNKNOWN_S
