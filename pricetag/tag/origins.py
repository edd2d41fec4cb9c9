"""Differences in the origin of two groups of runs, from their price tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from pricetag.recipes.differences import ABSENT, differing, shortened
from pricetag.tag.measured import origin_of
from pricetag.tag.view import TagView

NOT_RECORDED = "not recorded"
HASH_CHARACTERS = 12
"""Number of characters of a SHA-256 that are shown."""

_SET_BY_WORKER = re.compile(r"PRICETAG_.*|.*_VISIBLE_DEVICES|GPU_DEVICE_ORDINAL")
"""Variables that differ by device, or repeat another part of the provenance."""


def origin_differences(first: Sequence[TagView], second: Sequence[TagView]) -> list[str]:
    """Code, hardware, software and variables in which runs differ; empty if none do.

    Nodes and device numbers make no difference, and neither do seeds. Factors and meters are
    compared where they matter: for the ratio of one figure (``pricetag.tag.ratios``).

    Args:
        first: Price tags of the runs of group a.
        second: Those of group b.

    Returns:
        For example ``packages.torch: 2.12.0 (a), 2.13.0 (b)``.
    """
    lines: list[str] = []
    for noun, described in _PARTS.items():
        sides = [[dict(described(tag)) for tag in side] for side in (first, second)]
        every = [values for side in sides for values in side]
        if any(every) and not all(every):  # one line instead of one for each value
            sides = [[{noun: "recorded"} if values else {} for values in side] for side in sides]
        paths = dict.fromkeys(path for side in sides for values in side for path in values)
        absent = ABSENT if all(every) and described is not _code else NOT_RECORDED
        lines += shortened(differing(paths, sides, absent), f"differences of {noun}")
    return lines


def _code(tag: TagView) -> Iterator[tuple[str, str]]:
    """Hashes of the code of commands: the path is in the recipe, the commit in the hash."""
    for stage, facts in (tag.document.provenance.code or {}).items():
        sha256 = facts.get("sha256") if isinstance(facts, Mapping) else None
        if sha256 is not None:
            yield f"{stage}.code", f"sha256 {str(sha256)[:HASH_CHARACTERS]}"


def _inputs(tag: TagView) -> Iterator[tuple[str, str]]:
    """Hashes of data and model files: a path may have had another content."""
    for file in tag.document.provenance.inputs or ():
        name = file.path.rsplit("/", 1)[-1]
        content = NOT_RECORDED if file.sha256 is None else f"sha256 {file.sha256[:HASH_CHARACTERS]}"
        yield (file.role if file.role.startswith("data.") else f"{file.role}/{name}"), content


def _hardware(tag: TagView) -> Iterator[tuple[str, str]]:
    devices = tag.document.hardware.devices
    if devices:
        yield "hardware", ", ".join(sorted(f"{d.count}x {d.name or d.kind}" for d in devices))


def _software(tag: TagView) -> Iterator[tuple[str, str]]:
    about = tag.document.provenance
    if about.packages or about.python:
        named = {
            "python": about.python,
            "platform": about.platform,
            "git_commit": about.git_commit,
            **{f"packages.{name}": version for name, version in sorted(about.packages.items())},
        }
        yield from ((name, str(value)) for name, value in named.items() if value is not None)


def _variables(tag: TagView) -> Iterator[tuple[str, str]]:
    for name, value in (tag.document.provenance.variables or {}).items():
        if not _SET_BY_WORKER.fullmatch(name):
            yield f"variables.{name}", str(value)


def _measured(tag: TagView) -> Iterator[tuple[str, str]]:
    """Who measured a run, if no queue started it."""
    about = tag.document.provenance
    yield "origin", origin_of(tag)
    if about.measured_by is not None:
        yield "measured_by", about.measured_by


def _accounting(tag: TagView) -> Iterator[tuple[str, str]]:
    yield "accounting version", tag.document.provenance.accounting_version


_PARTS: dict[str, Callable[[TagView], Iterator[tuple[str, str]]]] = {
    "code": _code,
    "data and model files": _inputs,
    "hardware": _hardware,
    "software": _software,
    "variables": _variables,
    "measurement": _measured,
    "accounting": _accounting,
}
