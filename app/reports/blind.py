"""A report for blind review: made again from price tags in which only what is listed stays."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from app.reports import blind_words
from app.reports.blind_words import PACKAGES, STAGES, WITHHELD, member_names, stays
from pricetag.accounting.document.canonical import content_sha256
from pricetag.tag.evaluated import ScoredRun
from pricetag.tag.figure import Figure
from pricetag.tag.glue.rows import GlueRow
from pricetag.tag.glue.runs import Method
from pricetag.tag.glue.scores import Mean, TaskScore
from pricetag.tag.measured import ORIGINS
from pricetag.tag.paper import PaperRun
from pricetag.tag.view import TagView

PAPER_TITLE = "Paper under blind review"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
TASKS = ("classification", "regression", "masked_lm", "causal_lm", "question_answering")
KEPT_OF_ROWS = frozenset({"origin", "part", "currency"})
"""Texts of an entered row that stay: each is one of a list."""

OMITTED = frozenset({"variables", "code", "inputs", "measured_by"})
"""Members of a price tag that are omitted."""

EMPTY: Mapping[str, Any] = {"notes": None, "git_commit": None, "platform": None, "seeds": {}}
"""Members of a price tag that state nothing."""

NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")

Blind = Callable[[str], str]


@dataclass
class Pseudonyms:
    """Names in place of names: the same one wherever a name occurs in one report."""

    _names: dict[tuple[str, str], str] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def _of(self, kind: str, name: str, shown: Callable[[int], str]) -> str:
        if (kind, name) not in self._names:
            number = self._counts[kind] = self._counts.get(kind, 0) + 1
            self._names[kind, name] = shown(number)
        return self._names[kind, name]

    def run_id(self, run_id: str) -> str:
        """A random ID in place of a run's."""
        return self._of("run ID", run_id, lambda number: str(uuid.uuid4()))

    def run(self, run_id: str) -> str:
        """A name in place of a run's, whose ID this is."""
        return self._of("run", run_id, lambda number: f"Run {number}")

    def lettered(self, kind: str, name: str) -> str:
        """``Node A``, ``Node B``, ... in place of names."""
        return self._of(kind, name, lambda number: f"{kind} {_letters(number)}")

    def numbered(self, kind: str, name: str) -> str:
        """``data 1``, ``data 2``, ... in place of names."""
        return self._of(kind, name, lambda number: f"{kind} {number}")

    def component(self, component_id: str) -> str:
        """``gpu:1`` in place of the ID of a device; ``cpu`` and ``ram`` stay."""
        kind, separator, _ = component_id.partition(":")
        if not separator:
            return component_id if stays(component_id) else WITHHELD
        kind = kind if stays(kind) or kind == "rapl" else "component"
        return self._of(kind, component_id, lambda number: f"{kind}:{number}")


def _letters(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number - 1, len(LETTERS))
        text = LETTERS[digit] + text
    return text


def blind_price_tag(document: Mapping[str, Any], names: Pseudonyms) -> dict[str, Any]:
    """A price tag in which only numbers, listed texts and pseudonyms are left.

    Args:
        document: The price tag in JSON form; what the database states beside it may be in it.
        names: Pseudonyms of the report.
    """
    return dict(_Document(document, names).of(document, ()))


class _Document:
    def __init__(self, document: Mapping[str, Any], names: Pseudonyms) -> None:
        self._names = names
        self._run_id = str(document.get("run_id"))
        self._metered = frozenset(_metered_names(document))
        self._stages = {
            stage["key"]: f"{index}-{_kind(stage['kind'])}"
            for index, stage in enumerate(document.get("stages", ()))
        }

    def of(self, value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, Mapping):
            return self._members(value, path)
        if isinstance(value, list | tuple):
            return [self.of(item, path) for item in value]
        if isinstance(value, str):
            return self._text(value, path)
        return value

    def _members(self, value: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
        left: dict[str, Any] = {}
        for key, item in value.items():
            if key in EMPTY:
                left[key] = EMPTY[key]
            elif key in OMITTED:
                continue
            elif path[-1:] == ("packages",):
                left |= {key: item} if key in PACKAGES and stays(str(item)) else {}
            elif path[-1:] == ("calibrations",):
                left[self._names.component(key)] = self.of(item, (*path, "calibration"))
            elif path[-1:] == ("peaks",):
                left[self._subject(key)] = self.of(item, (*path, "peak"))
            elif key in member_names() or stays(key):
                left[key] = self.of(item, (*path, key))
        return left

    def _text(self, text: str, path: tuple[str, ...]) -> str | None:
        name = path[-1]
        inside = path[-2] if len(path) > 1 else ""
        match name:
            case "run_id":
                return self._names.run_id(self._run_id)
            case "node" | "nodes":
                return self._names.lettered("Node", text)
            case "site":
                return self._names.lettered("Site", text)
            case "key" | "stage" | "parent":
                return self._stages.get(text, WITHHELD)
            case "id":
                return self._names.component(text)
            case "gain_group":
                return self._names.numbered("group", text)
            case "origin":
                return text if text in ORIGINS else WITHHELD
            case "subject":
                return self._subject(text)
            case "name" if not inside:
                return self._names.run(self._run_id)
            case "name" if inside == "stages":
                return ""
            case "name":
                return blind_words.hardware(text)
            case "kind" if inside == "stages":
                return _kind(text)
            case "uncounted":
                return "some operations"
            case "term":
                return self._term(text)
            case "zone" | "basis" | "licence" | "source_url":
                return text if stays(text) else None
            case "citation":
                return text if stays(text) else f"entered by the site ({WITHHELD})"
            case "reason":
                return blind_words.remark(text)
            case _ if name.endswith("_reason"):
                return blind_words.remark(text)
            case _:
                return text if stays(text) else WITHHELD

    def _subject(self, text: str) -> str:
        """The product that a factor is about, which a person may have typed."""
        return blind_words.hardware(text) if text in self._metered or stays(text) else WITHHELD

    def _term(self, text: str) -> str:
        """The name of a cause of error, which may have that of a device in it."""
        for beginning in ("gain of ", "calibration of "):
            if text.startswith(beginning):
                device = text.removeprefix(beginning)
                name, _, kind = device.rpartition(" (")
                if blind_words.hardware(name) == name and stays(kind.rstrip(")")):
                    return text
        return text if stays(text) else WITHHELD


def _metered_names(document: Mapping[str, Any]) -> Iterator[str]:
    """The names of products that the meters of a price tag reported."""
    hardware = document.get("hardware") or {}
    for device in (*hardware.get("devices", ()), *document.get("components", ())):
        yield str(device.get("name"))


def _kind(kind: str) -> str:
    return kind if kind in STAGES else "stage"


def blind_runs(runs: Sequence[PaperRun], names: Pseudonyms) -> list[PaperRun]:
    """The runs of a paper with blind price tags, each with the hash of its own one."""
    return [_run(run, names) for run in runs]


def _run(run: PaperRun, names: Pseudonyms) -> PaperRun:
    whole = run.scored.tag.document.as_dict()
    tag = TagView.read(blind_price_tag(whole, names), run.scored.tag.cause)
    project = names.lettered("Project", run.project)
    experiment = names.numbered("Experiment", f"{run.project}/{run.experiment}")
    kinds = run.method.split("+")
    return replace(
        run,
        scored=ScoredRun(tag, _recipe(run.scored, names)),
        project=project,
        experiment=experiment,
        method=run.method
        if all(_kind(kind) == kind for kind in kinds)
        else names.numbered("method", run.method),
        sha256=content_sha256(tag.document.as_dict()),
        planned={
            name: replace(figure, reason=figure.reason and blind_words.remark(figure.reason))
            for name, figure in run.planned.items()
        },
    )


def _recipe(scored: ScoredRun, names: Pseudonyms) -> dict[str, Any]:
    """Task and data of the scores: equal where they were equal, and without any name."""
    task = scored.recipe.get("task")
    data = {
        score.split or "validation": names.numbered("data", score.data)
        for score in scored.scores
        if score.data is not None
    }
    known_splits = {split: name for split, name in data.items() if stays(split)}
    return {"task": task if task in TASKS else None, "data": known_splits}


def blind_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Published rows: those of the catalog as they are, of entered ones the numbers alone."""
    blind = []
    for number, row in enumerate(rows, 1):
        if row["origin"] == "catalog":
            blind.append(dict(row))
            continue
        numbers = {
            name: value if isinstance(value, int | float) or name in KEPT_OF_ROWS else None
            for name, value in row.items()
        }
        hardware = blind_words.hardware(str(row["hardware"]))
        more = {"model": f"Published model {number}", "hardware": hardware, "source": WITHHELD}
        blind.append(numbers | more)
    return blind


def blind_glue_rows(rows: Sequence[GlueRow], names: Pseudonyms) -> list[GlueRow]:
    """The rows of a table of GLUE: the figures, kinds of methods and their numbers."""
    seen: dict[str, int] = {}
    return [_glue_row(row, names, seen) for row in rows]


def _glue_row(row: GlueRow, names: Pseudonyms, seen: dict[str, int]) -> GlueRow:
    methods = ", ".join(map(_method, row.methods)) or "as submitted"
    label = f"{names.lettered('Model', row.start)}: {methods}"
    number = seen[label] = seen.get(label, 0) + 1
    return replace(
        row,
        label=label if number == 1 else f"{label} ({number})",
        run_ids=tuple(map(names.run_id, row.run_ids)),
        tasks={
            name: TaskScore(
                {key: _remarked(part) for key, part in task.parts.items()}, _remarked(task.score)
            )
            for name, task in row.tasks.items()
        },
        parameters=_remarked(row.parameters),
        remaining_ratio=_remarked(row.remaining_ratio),
        it_energy_kwh=_remarked(row.it_energy_kwh),
        co2e_kg=_remarked(row.co2e_kg),
        inference_wh=_remarked(row.inference_wh),
    )


def _method(method: Method) -> str:
    options = ", ".join(
        f"{name} {value}" for name, value in method.options.items() if _is_number(value)
    )
    kind = _kind(method.kind)
    return f"{kind} ({options})" if options and kind == method.kind else kind


def _is_number(text: str) -> bool:
    return text in ("true", "false") or NUMBER.fullmatch(text) is not None


Reasoned = TypeVar("Reasoned", Mean, Figure)


def _remarked(figure: Reasoned) -> Reasoned:
    return replace(figure, reason=figure.reason and blind_words.remark(figure.reason))
