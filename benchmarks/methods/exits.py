"""The curve of early exit: what each threshold and each exit of the published model are worth."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import fmean

from benchmarks.methods.results import Results

TITLE = "Early exit at each threshold"
TRAINED, METERED = "train-early-exit-4", "early-exit-thresholds"
"""The run with the exits, and the run that meters its model at each threshold."""

_AT = re.compile(r"metric\.exit_accuracy_at_(?P<threshold>[\d.]+)$")
_AFTER = re.compile(r"metric\.exit_accuracy_layer_(?P<layer>\d+)$")

_ABOUT = """The model with the exits was trained for four passes, at a peak learning rate of \
4e-4: at the common one no exit but the last learned anything. An example leaves at the first \
exit whose calibrated confidence reaches the threshold. Shares and operations are of the \
validation sentences at their own lengths; energy was metered at batch 1, in a run of its own on \
the published model. *ECE* is the expected calibration error, before and after each exit's \
temperature was fitted on training sentences that were set aside."""

_NOBODY_LEAVES = """**No example leaves before the last exit at any of these thresholds:** the \
earlier exits have learned too little, and the energies differ by the noise of the machine alone."""


def exit_lines(results: Results) -> list[str]:
    """The two tables, by threshold and by exit; none before the run with the exits."""
    layers = sorted(_names(results, _AFTER, "layer"), key=int)
    thresholds = sorted(_names(results, _AT, "threshold"), key=float)
    if not layers or not thresholds:
        return []
    shares = [f"Exit after layer {layer} (%)" for layer in layers]
    by_threshold = [
        *_head("Threshold", "Accuracy (%)", "MFLOP an example", *shares, "1,000 inferences (mWh)"),
        *(_row(_at(results, threshold, layers)) for threshold in thresholds),
    ]
    names = ("Exit after layer", "Accuracy (%)", "Temperature", "ECE before", "ECE after")
    by_exit = [*_head(*names), *(_row(_after(results, layer)) for layer in layers)]
    about = f"{_ABOUT} {_NOBODY_LEAVES}" if _nobody_leaves(results, thresholds, layers) else _ABOUT
    return [f"## {TITLE}", about, "\n".join(by_threshold), "\n".join(by_exit)]


def _nobody_leaves(results: Results, thresholds: Sequence[str], layers: Sequence[str]) -> bool:
    """Whether no example leaves before the last exit, at any threshold."""
    early = [
        figure.value
        for threshold in thresholds
        for layer in layers[:-1]
        for figure in results.figures(TRAINED, f"metric.exit_share_at_{threshold}_layer_{layer}")
    ]
    return bool(early) and not any(early)


def _names(results: Results, pattern: re.Pattern[str], group: str) -> set[str]:
    names = (name for run in results.runs(TRAINED) for name in run.figures)
    return {match[group] for name in names if (match := pattern.match(name))}


def _at(results: Results, threshold: str, layers: Sequence[str]) -> list[str]:
    shares = (f"metric.exit_share_at_{threshold}_layer_{layer}" for layer in layers)
    return [
        threshold,
        _mean(results, TRAINED, f"metric.exit_accuracy_at_{threshold}", 100, ".1f"),
        _mean(results, TRAINED, f"metric.exit_flops_per_example_at_{threshold}", 1e-6, ".0f"),
        *(_mean(results, TRAINED, share, 100, ".0f") for share in shares),
        _mean(results, METERED, f"inference_kwh_at_{threshold}", 1e6, ".3g"),
    ]


def _after(results: Results, layer: str) -> list[str]:
    return [
        layer,
        _mean(results, TRAINED, f"metric.exit_accuracy_layer_{layer}", 100, ".1f"),
        _mean(results, TRAINED, f"metric.temperature_layer_{layer}", 1, ".2f"),
        _mean(results, TRAINED, f"metric.ece_before_layer_{layer}", 1, ".3f"),
        _mean(results, TRAINED, f"metric.ece_after_layer_{layer}", 1, ".3f"),
    ]


def _mean(results: Results, name: str, figure: str, factor: float, spec: str) -> str:
    """The mean over the seeds; n/a if a seed did not report it, or none ran."""
    values = [one.value for one in results.figures(name, figure)]
    known_values = [value for value in values if value is not None]
    if not known_values or len(known_values) < len(values):
        return "n/a"
    return format(factor * fmean(known_values), spec)


def _head(*names: str) -> list[str]:
    return [_row(names), f"|{' ---: |' * len(names)}"]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
