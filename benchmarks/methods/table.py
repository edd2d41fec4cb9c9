"""The rows of the table: figures of each run, over its seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.methods.catalog import TEACHER, Catalog, Entry
from benchmarks.methods.claims import shown
from benchmarks.methods.results import Results
from benchmarks.methods.statistics import ratio_interval
from pricetag.accounting.work.break_even import NEVER
from pricetag.tag.figures import number, short_count

WH, GRAM, MEGA = 1e3, 1e3, 1e-6
TIMED = "timed"


Cell = Callable[[Results, Entry], str]


@dataclass(frozen=True)
class Column:
    """A column: its head, the figure whose source the head names, and its cells."""

    head: str
    figure: str
    cell: Cell


def _plain(figure: str, factor: float = 1.0) -> Cell:
    def cell(results: Results, entry: Entry) -> str:
        mean = results.mean(entry.name, figure)
        return "n/a" if mean.value is None else number(float(mean.value * factor))

    return cell


def _with_interval(figure: str, factor: float) -> Cell:
    def cell(results: Results, entry: Entry) -> str:
        mean = results.mean(entry.name, figure)
        if mean.value is None:
            return "n/a"
        text = number(mean.value * factor)
        if mean.low is None or mean.high is None:
            return text
        return f"{text} ({number(mean.low * factor)} to {number(mean.high * factor)})"

    return cell


def _score(results: Results, entry: Entry) -> str:
    sample = results.sample(entry.name, "score")
    mark = results.learned_nothing(entry.name)
    text = "" if sample is None else shown(sample)
    if mark is not None:
        return f"{text} ({mark})".strip() if text else mark
    return text or "n/a"


def _seeds(results: Results, entry: Entry) -> str:
    return str(len(results.runs(entry.name)))


def _parameters(results: Results, entry: Entry) -> str:
    mean = results.mean(entry.name, "parameters")
    return "n/a" if mean.value is None else short_count(mean.value)


def _latency(results: Results, entry: Entry) -> str:
    latency_s = results.latency_s(entry.name)
    return "n/a" if latency_s is None else number(1e3 * latency_s)


def _time_ratio(results: Results, entry: Entry) -> str:
    """Time of an inference, of the teacher's, with its interval."""
    if entry.name == TEACHER:
        return "1"
    interval = results.time_ratio(entry.name)
    if interval is None:
        return "n/a"
    ratio, low, high = interval
    return f"{ratio:.2f} ({low:.2f} to {high:.2f})"


def _remaining(results: Results, entry: Entry) -> str:
    """Weights that are not zero, of those of the teacher."""
    left = results.mean(entry.name, "non_zero_parameters").value
    whole = results.mean(TEACHER, "parameters").value
    return "n/a" if left is None or not whole else f"{100 * left / whole:.0f}%"


def _remaining_encoder(results: Results, entry: Entry) -> str:
    sparsity = results.mean(entry.name, "encoder_sparsity").value
    return "n/a" if sparsity is None else f"{100 * (1 - sparsity):.0f}%"


def _is_within_noise(results: Results, name: str) -> bool:
    """Whether the energy of an inference may be the teacher's, by the noise of measurements."""
    own, teachers = (results.sample(run, "inference_kwh") for run in (name, TEACHER))
    if own is None or teachers is None or own.noise_log_sd is None:
        return False
    _, low, high = ratio_interval(own, teachers)
    return low < 1 < high


def _break_even(results: Results, entry: Entry) -> str:
    figures = results.figures(entry.name, "break_even")
    if entry.name == TEACHER or not figures:
        return "-"
    if _is_within_noise(results, entry.name):
        return "within noise"
    if all(item.reason == NEVER for item in figures):
        return "never"
    without = sum(item.value is None for item in figures)
    if without:
        return "n/a" if without == len(figures) else f"n/a ({without} of {len(figures)} seeds)"
    mean = results.mean(entry.name, "break_even")
    if mean.value is None:
        return "n/a"
    ends = [end for end in (mean.low, mean.high) if end is not None]
    interval = f" ({' to '.join(map(short_count, ends))})" if len(ends) == 2 else ""
    return short_count(mean.value) + interval


QUALITY = (
    Column("Parameters", "parameters", _parameters),
    Column("Remaining, of all", "non_zero_parameters", _remaining),
    Column("Remaining, of its layers", "encoder_sparsity", _remaining_encoder),
    Column("Size (MB)", "bytes", _plain("bytes", MEGA)),
    Column("Packed (MB)", "packed_bytes", _plain("packed_bytes", MEGA)),
    Column("MFLOP an example", "flops", _plain("flops", MEGA)),
    Column("Latency p50, one thread (ms)", TIMED, _latency),
    Column("Latency, of the teacher's", TIMED, _time_ratio),
)
ENERGY = (
    Column("Making, own (Wh)", "making_kwh", _with_interval("making_kwh", WH)),
    Column(
        "Making, with the teacher's (Wh)",
        "making_with_teacher_kwh",
        _with_interval("making_with_teacher_kwh", WH),
    ),
    Column("CO2e of making (g)", "co2e_kg", _with_interval("co2e_kg", GRAM)),
    Column("1,000 inferences (mWh)", "inference_kwh", _with_interval("inference_kwh", 1e6)),
    Column("Break-even (inferences)", "break_even", _break_even),
)
SCORE = {"sst2": "Accuracy (%)", "cola": "MCC (x 100)"}


def rows(catalog: Catalog, results: Results, *, of_claims: bool = False) -> list[Entry]:
    """Entries that ran on the data set, in the order of the file.

    Args:
        catalog: All runs.
        results: Those of the data set.
        of_claims: With runs that are in no table, because only claims use them.
    """
    entries = [entry for entry in catalog.runs.values() if entry.table or of_claims]
    return [entry for entry in entries if entry.is_measured and results.runs(entry.name)]


def table(results: Results, columns: Sequence[Column], entries: Sequence[Entry]) -> list[str]:
    """A Markdown table with the score, the number of seeds and the columns of some runs."""
    score = Column(SCORE[results.data], "score", _score)
    listed = [score, Column("Seeds", "score", _seeds), *columns]
    lines = [
        f"| Method | # | {' | '.join(column.head for column in listed)} |",
        "| --- | ---: |" + " ---: |" * len(listed),
    ]
    for place, entry in enumerate(entries, 1):
        cells = " | ".join(column.cell(results, entry) for column in listed)
        lines.append(f"| {entry.title} | {place} | {cells} |")
    sources = [_source(results, entries, column.figure) for column in listed]
    sources[1] = ""
    return [*lines, f"| *Source* | | {' | '.join(sources)} |"]


def _source(results: Results, entries: Sequence[Entry], figure: str) -> str:
    """The evidence of a column: ``counted``, ``modelled``; several where rows differ."""
    if figure == TIMED:
        return f"*{TIMED}*"
    sources = {item.source for entry in entries for item in results.figures(entry.name, figure)} - {
        None
    }
    return ", ".join(f"*{source}*" for source in sorted(map(str, sources)))


def cost_wh(results: Results, names: Iterable[str], figure: str) -> float | None:
    """Energy to make the models of some runs, all seeds; None if unknown.

    Args:
        results: All runs.
        names: The runs.
        figure: ``making_kwh``, without teachers, or ``making_with_teacher_kwh``.
    """
    by_name = [results.figures(name, figure) for name in names]
    if not all(by_name):
        return None
    figures = [item for each in by_name for item in each]
    values = [item.value for item in figures]
    if not values or any(value is None for value in values):
        return None
    return sum(value for value in values if value is not None) * WH
