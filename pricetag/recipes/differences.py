"""Differences between the work of two groups of runs, from their recipes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pricetag.recipes.registry import entry_of, kind_of

MAX_VALUE = 60
"""Maximum length of a shown value, in characters."""

MAX_SHOWN = 8
"""Maximum number of options that are listed individually."""

ABSENT = "nothing"
HASH_CHARACTERS = 16


def differences(
    first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]
) -> list[str]:
    """The options in which runs did different work; empty for repeats of one piece of work.

    Seeds and names make no difference. If the stages differ, only the other options that all
    recipes state are compared.

    Args:
        first: Recipes of the runs of group a, as they are stored.
        second: Those of group b.

    Returns:
        For example ``stages.0.epochs: 1 (a), 3 (b)``.
    """
    sides = [[dict(_options(recipe)) for recipe in side] for side in (first, second)]
    paths = dict.fromkeys(path for side in sides for options in side for path in options)
    every = [options for side in sides for options in side]
    if len({options["stages"] for options in every}) > 1:
        shared = (path for path in paths if all(path in options for options in every))
        paths = {path: None for path in shared if not path.startswith("stages.")}
    return shortened(differing(paths, sides), "options")


def fingerprint(recipe: Mapping[str, Any], *, with_seeds: bool) -> str:
    """A value that is equal for recipes of the same work.

    Names make no difference.

    Args:
        recipe: A recipe as it is stored.
        with_seeds: Whether the seeds count, too.
    """
    options = sorted(_options(recipe))
    if with_seeds:
        for index, stage in enumerate(recipe.get("stages") or []):
            entry = entry_of(stage)
            for option in sorted(set() if entry is None else entry.traits.seeds):
                options.append((f"stages.{index}.{option}", json.dumps(stage.get(option))))
    content = json.dumps(options, ensure_ascii=False)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_CHARACTERS]


def differing(
    paths: Iterable[str],
    sides: Sequence[Sequence[Mapping[str, str]]],
    absent: str = ABSENT,
) -> list[str]:
    """A line for each path at which not all runs have the same value.

    Args:
        paths: Paths to compare.
        sides: Values of the runs of group a, by path, and of those of group b.
        absent: Shown for a run without a value.
    """
    lines = []
    for path in paths:
        values = [list(dict.fromkeys(run.get(path, absent) for run in side)) for side in sides]
        distinct = dict.fromkeys(value for side in values for value in side)
        if len(distinct) > 1:
            shown = dict(zip(distinct, _cut(list(distinct)), strict=True))
            groups = (
                f"{' and '.join(shown[value] for value in side)} ({name})"
                for side, name in zip(values, "ab", strict=True)
            )
            lines.append(f"{path}: {', '.join(groups)}")
    return lines


def shortened(lines: list[str], noun: str) -> list[str]:
    """At most ``MAX_SHOWN`` lines, and one that counts the others."""
    if len(lines) <= MAX_SHOWN:
        return lines
    return [*lines[:MAX_SHOWN], f"and {len(lines) - MAX_SHOWN} more {noun}"]


def _cut(values: Sequence[str]) -> list[str]:
    """Values with at most ``MAX_VALUE`` characters, which show where they differ."""
    places = enumerate(zip(*values, strict=False))
    first_difference = next((place for place, signs in places if len(set(signs)) > 1), 0)
    begin = max(0, first_difference - MAX_VALUE // 2)
    if len({value[: MAX_VALUE - 1] for value in values}) == len(values):
        begin = 0
    parts = [f"{'…' if begin else ''}{value[begin:]}" for value in values]
    return [part if len(part) <= MAX_VALUE else f"{part[: MAX_VALUE - 1]}…" for part in parts]


def _options(recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The options of a recipe that make a difference, by path, and its stage kinds."""
    stages = recipe.get("stages") or []
    yield "stages", ", ".join(map(kind_of, stages))
    for name in ("task", "data", "model"):
        yield from _flat(name, recipe.get(name))
    for index, stage in enumerate(stages):
        entry = entry_of(stage)
        skipped = {"kind", "method", "name"} | (set() if entry is None else entry.traits.seeds)
        for option, value in stage.items():
            if option not in skipped:
                yield from _flat(f"stages.{index}.{option}", value)


def _flat(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(f"{path}.{name}", inner)
    elif value is not None:
        yield path, json.dumps(value, ensure_ascii=False)
