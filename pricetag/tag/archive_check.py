"""Recompute every sum of a paper's archive from its price tags: standard library alone.

    python3 verify.py [ARCHIVE.zip or FOLDER] [--selection SHA256]

Without a name it checks the folder that it is in. The selection's SHA-256 is printed in the
paper's report: with it, the check also shows that the archive has the runs of that report.
Checked: the hash of every file; that each price tag is the one that the paper names, with the
figures that the paper states; all sums (doubles nearest to the exact sums); the report's totals.
Curves and frontier are not computed again. The exit status is 0 if nothing differs, else 1.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

CHECKS, PAPER, REPORT = "checks.json", "paper.json", "report.json"
TOP = ("it_energy_kwh", "facility_energy_kwh", "co2e_kg", "duration_s")
INNER = {"cost": ("cost", "total"), "flops_dense": ("flops", "dense")}
"""Where a price tag has the figures that are added up."""

Json = Mapping[str, Any]
Files = Mapping[str, bytes]
AXES = (*TOP, *INNER)
CODE = 4
ENDS = ("value", "low", "high")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each value of a JSON document with its path, in a fixed order."""
    if isinstance(value, dict) and value:
        for key in sorted(value):
            yield from leaves(value[key], f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def codes(document: Any) -> str:
    """A short code for each value of a document: they show which one was changed."""
    texts = (f"{path}={json.dumps(value)}" for path, value in leaves(document))
    return "".join(f"{zlib.crc32(text.encode()) & 0xFFFF:0{CODE}x}" for text in texts)


def changed(content: bytes, stated: str) -> list[str]:
    """The values of a document whose code differs from the stated one."""
    try:
        document = json.loads(content)
    except ValueError as error:
        return [f"is not JSON: {error}"]
    values = list(leaves(document))
    present = codes(document)
    if len(present) != len(stated):
        return [f"has {len(values)} values, not {len(stated) // CODE}: one was added or removed"]
    parts = (slice(n * CODE, (n + 1) * CODE) for n in range(len(values)))
    return [
        f"{path} was changed: it is {json.dumps(value)} now"
        for (path, value), part in zip(values, parts, strict=True)
        if present[part] != stated[part]
    ]


def added(figures: Sequence[Json]) -> dict[str, float | None]:
    """The sum of the known figures, if they have one unit, with the sums of their ends."""
    known_figures = [figure for figure in figures if figure["value"] is not None]
    if not known_figures or len({figure["unit"] for figure in known_figures}) > 1:
        return dict.fromkeys(ENDS)
    return {
        end: math.fsum(each["value"] if each[end] is None else each[end] for each in known_figures)
        for end in ENDS
    }


def read(place: Path) -> dict[str, bytes]:
    """The files of an archive or of a folder, by name."""
    if place.is_dir():
        paths = [path for path in place.rglob("*") if path.is_file()]
        return {path.relative_to(place).as_posix(): path.read_bytes() for path in paths}
    with zipfile.ZipFile(place) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def check(files: Files, selection: str | None = None) -> list[str]:
    """Everything that differs, each with its place; empty if nothing does."""
    if CHECKS not in files or PAPER not in files:
        return [f"{CHECKS if CHECKS not in files else PAPER} is missing: not a paper's archive"]
    problems: list[str] = []
    try:
        checks, paper = json.loads(files[CHECKS]), json.loads(files[PAPER])
        steps = (_files(files, checks), _tags(files, paper, selection), _sums(files, paper))
        for step in steps:
            problems.extend(step)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        problems.append(f"a file does not have its form: {error!r}")
    return problems


def _files(files: Files, checks: Json) -> Iterator[str]:
    """Files that are missing, unknown or changed; in JSON, the values that were changed."""
    for name, sha256 in sorted(checks["sha256"].items()):
        if name not in files:
            yield f"{name} is missing"
        elif hashlib.sha256(files[name]).hexdigest() != sha256:
            stated = checks["codes"].get(name)
            where = changed(files[name], stated) if stated is not None else []
            yield from (f"{name}: {text}" for text in where or ["its content was changed"])
    for name in sorted(files.keys() - checks["sha256"].keys() - {CHECKS}):
        yield f"{name} does not belong to the archive"


def _tags(files: Files, paper: Json, selection: str | None) -> Iterator[str]:
    """Price tags that are not those that the paper names, and figures that differ."""
    lines = []
    for run in paper["runs"]:
        name = f"price-tags/{run['run_id']}.json"
        lines.append(f"{run['run_id']} {run['version']} {run['sha256']}\n")
        if name not in files:
            continue
        if hashlib.sha256(files[name]).hexdigest() != run["sha256"]:
            yield f"{name}: not the price tag that the paper names ({run['sha256']})"
        tag = json.loads(files[name])
        figures = {axis: tag[axis] for axis in TOP}
        figures |= {axis: tag[outer][inner] for axis, (outer, inner) in INNER.items()}
        for axis, figure in figures.items():
            for end in ENDS:
                stated = run["figures"][axis][end]
                if stated != figure[end]:
                    yield (
                        f"{PAPER}: {axis}.{end} of run {run['run_id']} is {stated!r}, "
                        f"its price tag has {figure[end]!r}"
                    )
    own = hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
    for stated, label in ((paper["selection_sha256"], PAPER), (selection, "the given selection")):
        if stated is not None and stated.lower() != own:
            yield f"{label} states the selection {stated}, its runs have {own}"


def _sums(files: Files, paper: Json) -> Iterator[str]:
    """Sums that differ from those of the price tags' figures."""
    runs = paper["runs"]
    yield from _line("totals", paper["totals"], runs)
    names = [(run["group"], f"{run['project']} / {run['experiment']}") for run in runs]
    for key in ("by_purpose", "by_experiment"):
        for line in paper[key]:
            group = [run for run, own in zip(runs, names, strict=True) if line["name"] in own]
            yield from _line(f"{key} {line['name']}", line, group)
    report = json.loads(files[REPORT])
    for axis in TOP:
        own, total = added([run["figures"][axis] for run in runs]), report["totals"][axis]
        is_own = report["profile"] == "site" or axis in ("it_energy_kwh", "duration_s")
        for end in ENDS if is_own else ():
            if total[end] != own[end]:
                yield f"{REPORT}: totals.{axis}.{end} is {total[end]!r}, not {own[end]!r}"


def _line(place: str, line: Json, runs: Sequence[Json]) -> Iterator[str]:
    if line["runs"] != len(runs):
        yield f"{PAPER}: {place} has {line['runs']} runs, not {len(runs)}"
    for axis in AXES:
        known_runs = [run for run in runs if run["figures"][axis]["value"] is not None]
        quoted = [run for run in known_runs if axis in run["planned"]]
        for key, figures in (
            ("used", [run["figures"][axis] for run in runs]),
            ("planned", [run["planned"][axis] for run in quoted]),
            ("used_of_planned", [run["figures"][axis] for run in quoted]),
        ):
            own = added(figures)
            for end in ENDS:
                if line[key][axis][end] != own[end]:
                    stated = line[key][axis][end]
                    yield f"{PAPER}: {place}.{key}.{axis}.{end} is {stated!r}, not {own[end]!r}"


def main(arguments: Sequence[str]) -> int:
    """Checks one archive and prints what differs."""
    names = [name for name in arguments if not name.startswith("--")]
    selection = names.pop() if "--selection" in arguments else None
    files = read(Path(names[0]) if names else Path(__file__).resolve().parent)
    problems = check(files, selection)
    sys.stdout.write("".join(f"{problem}\n" for problem in problems))
    if not problems:
        paper = json.loads(files[PAPER])
        for axis, figure in paper["totals"]["used"].items():
            sys.stdout.write(f"{axis}: {figure['value']!r} {figure['unit']}\n")
        runs = len(paper["runs"])
        sys.stdout.write(f"verified: {runs} runs, selection {paper['selection_sha256']}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
