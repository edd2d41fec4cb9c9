"""What a latency refers to is stated below the tables that show it."""

from __future__ import annotations

from typing import Any

import pytest

from app.reports.sections import variants as report
from pricetag.cli.views import variants_view
from pricetag.tag.latency import conditions
from pricetag.tag.variants import variants
from pricetag.tag.view import TagView
from tests.support.price_tags import compressed_run, tag
from tests.unit.cli.test_views import drawn

PERCENTILES = "p50 is the median, p95 the 95th percentile"


def document(*figures: dict[str, float], name: str = "MiniLM") -> dict[str, Any]:
    """A price tag whose measured variants have further figures, in order."""
    made = tag(compressed_run(name))
    measures = [stage for stage in made["stages"] if stage["kind"] == "measure"]
    for stage, more in zip(measures, figures, strict=True):
        like = stage["quality"][0]
        for metric, value in more.items():
            entry = {**like, "metric": metric, "value": value, "unit": None, "split": None}
            stage["quality"].append(entry)
            made["quality"].append(entry)
    return made


def taken(calls: float = 30, threads: float = 2, accelerator: float = 0) -> dict[str, float]:
    return {
        "latency_calls_batch_1": calls,
        "latency_tokens": 64,
        "latency_threads": threads,
        "latency_on_accelerator": accelerator,
        "latency_p50_batch_32_s": 0.1,
    }


def notes(made: dict[str, Any]) -> list[str]:
    view = TagView.read(made)
    return conditions(view, variants(view.document))


@pytest.mark.parametrize(
    ("first", "second", "note"),
    [
        (
            *(taken(), taken()),
            "in 30 calls after a warm-up, on the CPU with 2 threads; " + PERCENTILES,
        ),
        (*(taken(calls=10), taken(threads=2)), "in 10 to 30 calls after a warm-up"),
        (*(taken(threads=1), taken(threads=1)), "on the CPU with 1 thread; p50"),
        (
            *(taken(accelerator=1), taken(accelerator=1)),
            "on NVIDIA H100 80GB HBM3; " + PERCENTILES,
        ),
        (
            *(taken(accelerator=1), taken()),
            "on NVIDIA H100 80GB HBM3; after quantize stage on the CPU with 2 threads; p50",
        ),
    ],
)
def test_batch_tokens_calls_threads_and_device_are_named(
    first: dict[str, float], second: dict[str, float], note: str
) -> None:
    latency, rate = notes(document(first, second))
    begin = "Latency: of one forward pass of one example of 64 tokens (batch size 1), in "
    assert latency.startswith(begin)
    assert note in latency
    assert rate == "Rate: examples per second at batch size 32."


def test_fields_missing_in_older_price_tags_are_noted() -> None:
    latency, rate = notes(document({}, {}))
    assert latency == (
        f"Latency: of one forward pass of one example (batch size 1); {PERCENTILES}. The number of "
        "calls, the tokens, the threads and the device were not recorded."
    )
    assert rate == "Rate: examples per second at batch size 1."


def test_figures_of_scripts_have_no_note() -> None:
    made = tag(compressed_run())
    for stage in made["stages"]:
        for item in stage["quality"]:
            if item["metric"] == "latency_p50_batch_1_s":
                item["metric"] = "latency_p50_ms"
    assert notes(made) == []


def test_terminal_and_report_show_the_note_outside_the_columns() -> None:
    made = document(taken(), taken(accelerator=1))
    view = variants_view(made)
    assert view is not None
    assert "in 30 calls after a warm-up" in " ".join(drawn(view).split())
    section = report.section([TagView.read(made)])
    assert section is not None
    speed = next(t for t in section["tables"] if t["id"] == "variants-use")
    assert speed["notes"] == notes(made)
    assert not any("latency_" in str(t["columns"]) for t in section["tables"])


def test_runs_measured_in_the_same_way_share_a_note() -> None:
    def shown(*made: dict[str, Any]) -> list[str]:
        section = report.section([TagView.read(one) for one in made])
        assert section is not None
        return next(t for t in section["tables"] if t["id"] == "variants-use")["notes"]

    first, same = document(taken(), taken()), document(taken(), taken(), name="second")
    other = document(taken(calls=10), taken(calls=10), name="third")
    assert shown(first, same) == notes(first)
    assert shown(first, same, other) == [
        f"MiniLM; second: {notes(first)[0]}",
        notes(first)[1],
        f"third: {notes(other)[0]}",
    ]
