"""Recompute every sum of a paper's archive from its price tags: standard library alone.

    python3 verify.py [ARCHIVE.zip or FOLDER] [--selection SHA256]

Checks hashes, figures, sums (doubles nearest to the exact ones) and selection; exit status 0 or 1.
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
from typing import Any, BinaryIO

CHECKS, PAPER, REPORT = "checks.json", "paper.json", "report.json"
TOP = ("it_energy_kwh", "facility_energy_kwh", "co2e_kg", "duration_s")
INNER = {"cost": ("cost", "total"), "flops_dense": ("flops", "dense")}
Json = Mapping[str, Any]
ENDS, KB = ("value", "low", "high"), 1000


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


def parts(name: str, content: bytes) -> list[tuple[str, str, str]]:
    """The values of a JSON file, kBs of a PDF, or lines of a text, with their places and codes."""
    if name.endswith(".pdf"):
        texts = [(f"kB {n}", content[n * KB :][:KB].hex()) for n in range(len(content) // KB + 1)]
    elif name.endswith(".json"):
        texts = [(path, json.dumps(value)) for path, value in leaves(json.loads(content))]
    else:
        texts = [(f"line {n}", line) for n, line in enumerate(content.decode().split("\n"), 1)]
    sums = [zlib.crc32(f"{place}={text}".encode()) & 0xFFFF for place, text in texts]
    return [(place, text, f"{code:04x}") for (place, text), code in zip(texts, sums, strict=True)]


def changed(name: str, content: bytes, stated: str) -> list[str]:
    """The parts of a file whose code differs from the stated one."""
    try:
        own = parts(name, content)
    except (ValueError, RecursionError) as error:
        return [f"cannot be read: {error}"]
    codes = [stated[n : n + 4] for n in range(0, len(stated), 4)]
    if len(own) != len(codes):
        return [f"has {len(own)} values or lines, not {len(codes)}: some were added or removed"]
    pairs = zip(own, codes, strict=True)
    return [f"{at} was changed: it is {text[:100]} now" for (at, text, a), b in pairs if a != b]


def added(figures: Sequence[Json]) -> dict[str, float | None]:
    """The sum of the known figures, if they have one unit, with the sums of their ends."""
    own = [figure for figure in figures if figure["value"] is not None]
    if len({figure["unit"] for figure in own}) != 1:
        return dict.fromkeys(ENDS)
    ends = {end: [each["value" if each[end] is None else end] for each in own] for end in ENDS}
    return {end: math.fsum(values) for end, values in ends.items()}


def read(place: Path | BinaryIO) -> dict[str, bytes]:
    """The files of an archive or of a folder, by name, also within one folder."""
    if isinstance(place, Path) and place.is_dir():
        paths = [path for path in place.rglob("*") if path.is_file()]
        files = {path.relative_to(place).as_posix(): path.read_bytes() for path in paths}
    else:
        with zipfile.ZipFile(place) as archive:
            files = {name: archive.read(name) for name in archive.namelist() if name[-1:] != "/"}
    inside = [name for name in files if name.count("/") == 1 and name.endswith(f"/{CHECKS}")]
    folder = inside[0].removesuffix(CHECKS) if len(inside) == 1 and CHECKS not in files else ""
    return {name[len(folder) :]: files[name] for name in files if name.startswith(folder)}


def check(files: Mapping[str, bytes], selection: str | None = None) -> list[str]:
    """Everything that differs, each with its place; empty if nothing does."""
    if missing := [name for name in (CHECKS, PAPER, REPORT) if name not in files]:
        return [f"{missing[0]} is missing: not a paper's archive"]
    problems: list[str] = []
    for name, step in ((CHECKS, _files), (PAPER, _tags), (PAPER, _sums)):
        try:
            problems.extend(step(files, json.loads(files[name])))
            stated = json.loads(files[PAPER])["selection_sha256"]
        except (AttributeError, KeyError, IndexError, TypeError, ValueError, RecursionError):
            problems.append(f"{name} does not have the form that a paper's archive gives it")
    if not problems and selection is not None and selection.lower() != stated:
        problems.append(f"the given selection is {selection}, the archive has {stated}")
    return list(dict.fromkeys(problems))


def _files(files: Mapping[str, bytes], checks: Json) -> Iterator[str]:
    """Files that are missing, unknown or changed, with the parts that were; wrong codes."""
    for name, sha in sorted(checks["sha256"].items()):
        if name not in files:
            yield f"{name} is missing"
            continue
        is_same, stated = hashlib.sha256(files[name]).hexdigest() == sha, checks["codes"].get(name)
        places = [] if stated is None else changed(name, files[name], stated)
        if is_same and (places or (stated is None and not name.endswith(".pdf"))):
            yield f"{CHECKS}: codes of {name} were changed, the file was not"
        elif not is_same and not places and stated is not None:
            yield f"{CHECKS} or the spaces of {name} were changed: the hash differs, no part does"
        elif not is_same:
            yield from (f"{name}: {text}" for text in places or ["its content was changed"])
    for name in sorted(files.keys() - checks["sha256"].keys() - {CHECKS}):
        yield f"{name} does not belong to the archive"


def _tags(files: Mapping[str, bytes], paper: Json) -> Iterator[str]:
    """Price tags that are not those that the paper names, and figures that differ."""
    for run in paper["runs"]:
        name = f"price-tags/{run['run_id']}.json"
        if name not in files:
            yield f"{name} is missing"
            continue
        if hashlib.sha256(files[name]).hexdigest() != run["sha256"]:
            yield f"{name}: not the price tag that the paper names ({run['sha256']})"
        tag = json.loads(files[name])
        figures = {axis: tag[axis] for axis in TOP}
        figures |= {axis: tag[outer][inner] for axis, (outer, inner) in INNER.items()}
        for axis, end in ((axis, end) for axis in figures for end in ENDS):
            if (stated := run["figures"][axis][end]) != (own := figures[axis][end]):
                where = f"{PAPER}: {axis}.{end} of run {run['run_id']}"
                yield f"{where} is {stated!r}, its price tag has {own!r}"
    lines = [f"{run['run_id']} {run['version']} {run['sha256']}\n" for run in paper["runs"]]
    if rows := [each["entered"] for each in paper.get("published", [])]:
        text = json.dumps(rows, sort_keys=True).encode()
        lines.append(f"published {hashlib.sha256(text).hexdigest()}\n")
    text = "".join(sorted(lines)).encode()
    if (stated := paper["selection_sha256"]) != (own := hashlib.sha256(text).hexdigest()):
        yield f"{PAPER} states the selection {stated}, its content has {own}"


def _sums(files: Mapping[str, bytes], paper: Json) -> Iterator[str]:
    """Sums of the paper, and totals of its report, that differ from those of the figures."""
    runs = paper["runs"]
    yield from _line("totals", paper["totals"], runs)
    names = [(run["group"], f"{run['project']} / {run['experiment']}") for run in runs]
    for key, line in ((k, line) for k in ("by_purpose", "by_experiment") for line in paper[k]):
        group = [run for run, own in zip(runs, names, strict=True) if line["name"] in own]
        yield from _line(f"{key} {line['name']}", line, group)
    report = json.loads(files[REPORT])
    for axis in TOP if report["profile"] == "site" else ("it_energy_kwh", "duration_s"):
        total, sums = report["totals"][axis], added([run["figures"][axis] for run in runs])
        for end in (end for end in ENDS if total[end] != sums[end]):
            yield f"{REPORT}: totals.{axis}.{end} is {total[end]!r}, not {sums[end]!r}"


def _line(place: str, line: Json, runs: Sequence[Json]) -> Iterator[str]:
    if line["runs"] != len(runs):
        yield f"{PAPER}: {place} has {line['runs']} runs, not {len(runs)}"
    for axis in (*TOP, *INNER):
        own = [run["figures"][axis] for run in runs]
        two = [(run["planned"].get(axis), each) for run, each in zip(runs, own, strict=True)]
        two = [(plan, used) for plan, used in two if plan and used["value"] is not None]
        plans, uses = [p for p, _ in two], [u for _, u in two]
        groups = {"used": own, "planned": plans, "used_of_planned": uses}
        for key, end in ((key, end) for key in groups for end in ENDS):
            if (stated := line[key][axis][end]) != (total := added(groups[key])[end]):
                yield f"{PAPER}: {place}.{key}.{axis}.{end} is {stated!r}, not {total!r}"


def main(arguments: Sequence[str]) -> int:
    """Checks one archive, and prints what differs, or what it states."""
    if options := {each for each in arguments if each[:1] == "-"} - {"--selection"}:
        sys.stdout.write(__doc__ or "")
        return 0 if options <= {"-h", "--help"} else 2
    names = [name for name in arguments if not name.startswith("--")]
    selection = names.pop() if "--selection" in arguments else None
    try:
        files = read(Path(names[0]) if names else Path(__file__).resolve().parent)
        lines = check(files, selection)
    except (OSError, zipfile.BadZipFile, zlib.error) as error:
        lines = [f"not a whole archive (cut or damaged), or not a folder with its files: {error}"]
    if not (status := int(bool(lines))):
        paper = json.loads(files[PAPER])
        runs, missing = len(paper["runs"]), len(paper["not_counted"])
        for axis, each in paper["totals"]["used"].items():
            least = "at least " if each["reason"] else ""
            text = "n/a" if each["value"] is None else f"{least}{each['value']!r} {each['unit']}"
            lines.append(f"{axis}: {text}")
        more = f" of {runs + missing}, the others have no price tag" if missing else ""
        lines.append(f"verified: {runs} runs{more}; selection {paper['selection_sha256']}")
    sys.stdout.write("\n".join(lines) + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
