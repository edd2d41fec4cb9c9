"""The page and its picture, from a state folder."""

from __future__ import annotations

import re
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.methods import catalog as catalogs
from benchmarks.methods import claims as claiming
from benchmarks.methods import sections
from benchmarks.methods.__main__ import main
from benchmarks.methods.chart import Point, chart, frontier
from benchmarks.methods.plan import Budget, Trial, budget_on, fingerprint
from benchmarks.methods.render import PAGE, PICTURE, newest, update_pages, write_pages
from benchmarks.methods.results import SHAPE, Results
from benchmarks.methods.state import Record, State
from benchmarks.methods.table import ENERGY
from pricetag.accounting.work.break_even import NEVER
from pricetag.tag.figure import Figure

CATALOG = catalogs.read()
BUDGET = Budget()
INPUTS = {"sst2": "inputs", "cola": "more inputs"}


def modelled(value: float, unit: str = "kWh") -> Figure:
    return Figure(value, 0.5 * value, 2 * value, unit, "modelled")


def figures(score: float, making_kwh: float, size: float) -> dict[str, Figure]:
    return {
        "score": Figure(score, None, None, "", "counted"),
        "parameters": Figure(2_000_000.0, None, None, "", "counted"),
        "non_zero_parameters": Figure(250 * size, None, None, "", "counted"),
        "bytes": Figure(size * 1e6, None, None, "bytes", "counted"),
        "latency_s": Figure(0.004, None, None, "s", "timed"),
        "flops": Figure.unknown("the model's operations cannot be counted"),
        "making_kwh": modelled(making_kwh),
        "making_with_teacher_kwh": modelled(2 * making_kwh),
        "co2e_kg": modelled(making_kwh, "kg"),
        "inference_kwh": modelled(making_kwh / 10),
        "break_even": Figure.unknown(NEVER),
    }


@pytest.fixture
def state(tmp_path: Path) -> State:
    made = State(tmp_path / "state")
    made.write_about({"budget": asdict(BUDGET), "inputs": INPUTS})
    for seed, score in enumerate((0.80, 0.82)):
        keep(made, Trial(seed, "sst2", "teacher"), figures(score, 0.001, 8000))
        keep(made, Trial(seed, "sst2", "quantize-int8"), figures(score - 0.1, 0.0001, 2000))
    keep(made, Trial(0, "cola", "teacher"), figures(0.3, 0.001, 8000))
    trial = Trial(0, "sst2", "prune-heads-50")
    made.keep(Record(trial, mark(trial), "failed", error="out of memory"))
    return made


def mark(trial: Trial) -> str:
    return fingerprint(CATALOG, BUDGET, trial, INPUTS[trial.data])


def keep(state: State, trial: Trial, values: dict[str, Figure]) -> None:
    state.keep(Record(trial, mark(trial), "succeeded", "id", 3.0, values))


@pytest.fixture
def page(state: State, tmp_path: Path) -> str:
    written = write_pages(CATALOG, state, tmp_path / "docs")
    assert written == tmp_path / "docs" / PAGE
    ElementTree.fromstring((tmp_path / "docs" / PICTURE).read_text())
    return written.read_text()


def row(page: str, head: str, number: int = 0) -> list[str]:
    lines = [line for line in page.splitlines() if line.startswith(f"| {head}")]
    return [cell.strip() for cell in lines[number].strip("|").split("|")]


def test_rows_have_mean_and_standard_deviation_over_seeds(page: str) -> None:
    cells = row(page, "int8, dynamic")
    assert cells[1:4] == ["2", "71.0 ± 1.4", "2"]
    assert cells[4:8] == ["2.00M", "25%", "n/a", "2,000"]
    assert row(page, "Fine-tuned encoder", 2)[1:4] == ["1", "30.0", "1"]  # cola


def test_energies_have_intervals_and_sources(page: str) -> None:
    energy = row(page, "int8, dynamic", 1)
    assert energy[4] == "0.100 (0.0500 to 0.200)"
    assert energy[-1] == "never"
    assert row(page, "Fine-tuned encoder", 1)[-1] == "-"
    assert row(page, "*Source*", 1)[4:8] == ["*modelled*"] * 4


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [(0.5, "3.00k"), (0.7, "3.00k"), (0.94, "within noise"), (1.2, "within noise")],
)
def test_a_saving_within_the_noise_does_not_break_even(ratio: float, shown: str) -> None:
    """The noise is that of models of the same shape: here about 30% of a ratio."""
    shape = {name: modelled(7.0) for name in SHAPE}
    saving = {"break_even": Figure(3000.0, None, None, "", "modelled")}
    records = [
        Record(Trial(0, "sst2", name), "", "succeeded", "id", 1.0, figures)
        for name, figures in {
            "teacher": {"inference_kwh": modelled(1.0), **shape},
            "prune-random-50": {"inference_kwh": modelled(1.1), **shape},
            "prune-et-50": {"inference_kwh": modelled(1 / 1.1), **shape},
            "prune-heads-50": {"inference_kwh": modelled(ratio), **saving},
        }.items()
    ]
    column = ENERGY[-1]
    cell = column.cell(Results.of(records, "sst2"), CATALOG.runs["prune-heads-50"])
    assert (column.figure, cell) == ("break_even", shown)


def test_every_claim_has_a_verdict(page: str) -> None:
    for claim in claiming.read():
        cells = row(page, claim.claim)
        assert re.fullmatch(r"\*\*(held|not held|not decided|not testable here)\*\*", cells[2])
    assert row(page, "8 bits with embeddings")[2:5] == ["**held**", "bytes x 0.250", "2.20"]


def test_what_failed_and_what_did_not_run_is_listed(page: str) -> None:
    assert "prune-heads-50 (sst2, seed 0): failed (out of memory)." in page
    assert re.search(r"Not run yet on SST-2: .*distill-logits", page)
    for kind, reason in CATALOG.not_run.items():
        assert f"- `{kind}`: {reason}." in page


def test_runs_of_another_description_are_not_shown(state: State) -> None:
    trial = Trial(0, "sst2", "distill-logits")
    state.keep(Record(trial, "old", "succeeded", "id", 3.0, figures(0.9, 1, 1)))
    state.keep(Record(Trial(0, "sst2", "gone"), "old", "succeeded", "id", 3.0, {}))
    assert trial not in newest(CATALOG, state)


def test_a_trial_of_the_benchmark_says_so(state: State, tmp_path: Path) -> None:
    assert "trial of the benchmark" not in write_pages(CATALOG, state, tmp_path).read_text()
    state.write_about(state.about() | {"budget": asdict(Budget(dev_examples=128))})
    assert "trial of the benchmark" in write_pages(CATALOG, state, tmp_path).read_text()


def test_means_keep_the_interval_of_the_shared_meter() -> None:
    records = [
        Record(Trial(seed, "sst2", "teacher"), "", "succeeded", "id", 1.0, {"energy": modelled(v)})
        for seed, v in enumerate((1.0, 3.0))
    ]
    mean = Results.of(records, "sst2").mean("teacher", "energy")
    assert (mean.value, mean.low, mean.high) == (2.0, 1.0, 4.0)


POINTS = st.lists(
    st.builds(Point, st.just("p"), st.floats(0.1, 9), st.floats(0, 100)), min_size=1, max_size=12
)


@given(POINTS)
def test_the_frontier_is_what_no_other_point_beats(points: list[Point]) -> None:
    best = frontier(points)

    def beaten(one: Point) -> bool:
        return any(
            (p.energy <= one.energy and p.score > one.score)
            or (p.energy < one.energy and p.score >= one.score)
            for p in points
        )

    assert {(p.energy, p.score) for p in best} == {
        (p.energy, p.score) for p in points if not beaten(p)
    }
    assert all(a.energy < b.energy and a.score < b.score for a, b in pairwise(best))


def test_a_chart_names_the_frontier_and_numbers_the_others() -> None:
    points = [Point("a & b", 1.0, 80.0, 0.5, 7), Point("c", 2.0, 80.0, None, 8)]
    drawn = ElementTree.fromstring(chart([("Energy", points), ("None", [])], "Accuracy"))
    texts = ["".join(element.itertext()) for element in drawn.iter()]
    assert {"a & b", "8"} <= set(texts)
    assert not {"c", "7"} & set(texts)


def test_labels_cover_neither_points_nor_one_another() -> None:
    """A crowd of 40 points at nearly one place, as compressed models of one teacher are."""
    crowd = [Point(f"p{n}", 1 + 0.004 * n, 80 + 0.05 * (n * 7 % 11), None, n) for n in range(40)]
    drawn = chart([("Energy", [*crowd, Point("far", 40.0, 50.0, None, 40)])], "Accuracy")
    texts = re.findall(r'class="name" x="([\d.]+)" y="([\d.]+)">([^<]*)<', drawn)
    boxes = [
        (float(x), float(y) - 8, float(x) + 5.8 * len(text), float(y) + 2) for x, y, text in texts
    ]
    assert len(boxes) == 41
    for number, one in enumerate(boxes):
        for other in boxes[number + 1 :]:
            beside = one[2] <= other[0] + 0.1 or other[2] <= one[0] + 0.1
            assert beside or one[3] <= other[1] + 0.1 or other[3] <= one[1] + 0.1


def test_early_exit_has_its_curve_its_calibration_and_its_energies(
    state: State, tmp_path: Path
) -> None:
    def counted(value: float) -> Figure:
        return Figure(value, None, None, "", "counted")

    own = {
        f"metric.{name}": counted(value)
        for name, value in {
            "exit_accuracy_at_0.6": 0.7,
            "exit_accuracy_at_0.95": 0.8,
            "exit_flops_per_example_at_0.6": 200e6,
            "exit_flops_per_example_at_0.95": 400e6,
            "exit_share_at_0.6_layer_0": 0.75,
            "exit_share_at_0.6_layer_11": 0.25,
            "exit_share_at_0.95_layer_0": 0.1,
            "exit_share_at_0.95_layer_11": 0.9,
            "exit_accuracy_layer_0": 0.6,
            "exit_accuracy_layer_11": 0.81,
            "temperature_layer_0": 1.5,
            "temperature_layer_11": 2.0,
            "ece_before_layer_0": 0.2,
            "ece_after_layer_0": 0.05,
            "ece_before_layer_11": 0.1,
            "ece_after_layer_11": 0.02,
        }.items()
    }
    keep(state, Trial(0, "sst2", "train-early-exit-4"), figures(0.8, 0.001, 8000) | own)
    metered = figures(0.8, 0.001, 8000) | {"inference_kwh_at_0.6": modelled(5e-6)}
    keep(state, Trial(0, "sst2", "early-exit-thresholds"), metered)
    write_pages(CATALOG, state, tmp_path / "docs")
    text = (tmp_path / "docs" / PAGE).read_text()
    assert "| 0.6 | 70.0 | 200 | 75 | 25 | 5 |" in text
    assert "| 0.95 | 80.0 | 400 | 10 | 90 | n/a |" in text
    assert "| 0 | 60.0 | 1.50 | 0.200 | 0.050 |" in text
    assert "| 11 | 81.0 | 2.00 | 0.100 | 0.020 |" in text
    assert "No example leaves" not in text
    late = {name: counted(0.0) for name in own if "exit_share" in name and name.endswith("_0")}
    keep(state, Trial(0, "sst2", "train-early-exit-4"), figures(0.8, 0.001, 8000) | own | late)
    write_pages(CATALOG, state, tmp_path / "docs")
    assert "No example leaves" in (tmp_path / "docs" / PAGE).read_text()


def test_a_data_set_with_a_budget_of_its_own_states_it(page: str) -> None:
    own = budget_on(CATALOG, BUDGET, "cola")
    assert own != BUDGET
    assert f"CoLA has a budget of its own: {own.examples:,} training sentences" in page
    assert "SST-2 has a budget" not in page


def test_sections_of_later_runs_replace_theirs_and_leave_the_others(
    page: str, tmp_path: Path
) -> None:
    later = State(tmp_path / "later")
    later.write_about({"budget": asdict(BUDGET), "inputs": {"cola": INPUTS["cola"]}})
    keep(later, Trial(0, "cola", "teacher"), figures(0.4, 0.002, 8000))
    for _ in range(2):  # once more changes nothing
        written = update_pages(CATALOG, later, tmp_path / "docs", ["cola"]).read_text()
        assert row(written, "Fine-tuned encoder", 2)[1:4] == ["1", "40.0", "1"]
        former, now = sections.read(page), sections.read(written)
        assert list(now) == list(former)
        changed = {title for title in now if now[title] != former[title]}
        assert changed == {"", "CoLA"}
        assert now[""].count("**Sections of later runs.** CoLA. ") == 1
        assert now[""].startswith(former[""])
        assert "The runs do not state their conditions." in now["CoLA"]


def test_the_section_of_early_exit_is_taken_alone(page: str, tmp_path: Path) -> None:
    later = State(tmp_path / "later")
    later.write_about({"budget": asdict(BUDGET), "inputs": {"sst2": INPUTS["sst2"]}})
    curve = {
        f"metric.{name}": Figure(0.5, None, None, "", "counted")
        for name in ("exit_accuracy_at_0.6", "exit_accuracy_layer_0")
    }
    keep(later, Trial(0, "sst2", "train-early-exit-4"), figures(0.9, 0.001, 8000) | curve)
    metered = figures(0.9, 0.001, 8000) | {"inference_kwh_at_0.6": modelled(5e-6)}
    keep(later, Trial(0, "sst2", "early-exit-thresholds"), metered)
    with pytest.raises(ValueError, match="no section 'Early exit at each threshold'"):
        update_pages(CATALOG, later, tmp_path / "docs", ["early-exit"])
    whole = page.replace("## CoLA", "## Early exit at each threshold\n\nOld.\n\n## CoLA")
    (tmp_path / "docs" / PAGE).write_text(whole)
    written = update_pages(CATALOG, later, tmp_path / "docs", ["early-exit"]).read_text()
    former, now = sections.read(whole), sections.read(written)
    assert "| 0.6 | 50.0 | n/a | n/a | 5 |" in now["Early exit at each threshold"]
    assert now["SST-2"] == former["SST-2"]
    assert "early-exit-thresholds" in former["Not in the table"]
    assert "early-exit-thresholds" not in now["Not in the table"]
    assert "distill-logits" in now["Not in the table"]


def test_later_runs_have_a_section_of_their_own_and_decide_claims(
    page: str, tmp_path: Path
) -> None:
    later = State(tmp_path / "later")
    later.write_about({"budget": asdict(BUDGET), "inputs": {"sst2": INPUTS["sst2"]}})
    for name, score in (
        ("teacher", 0.8),
        ("distill-logits-4", 0.82),
        ("student-random-4", 0.6),
        ("prune-activation-50", 0.79),
    ):
        keep(later, Trial(0, "sst2", name), figures(score, 0.001, 8000))
    claim = "| A student that starts from its teacher's layers beats one of random weights. |"
    for _ in range(2):  # once more changes nothing
        written = update_pages(CATALOG, later, tmp_path / "docs", ["sst2-later"]).read_text()
        former, now = sections.read(page), sections.read(written)
        assert list(now)[list(now).index("SST-2") + 1] == "SST-2, later runs"
        assert set(now) - set(former) == {"SST-2, later runs"}
        assert now["SST-2"] == former["SST-2"]
        assert (
            "| Distilled on logits, 3 layers, four passes | 3 | 82.0 |" in now["SST-2, later runs"]
        )
        claims = "The claims of the sources, at this scale"
        rows = zip(former[claims].splitlines(), now[claims].splitlines(), strict=True)
        changed = [after for before, after in rows if before != after]
        assert any(line.startswith(claim) and "82.0 against 60.0" in line for line in changed)
        assert all("is not known" not in line for line in changed)
        gaps = now["Not in the table"]
        assert "prune-activation-50" in former["Not in the table"]
        assert "prune-activation-50" not in gaps
        assert "distill-logits-4" not in gaps
        assert "distill-pkd-4" in gaps
    cola = State(tmp_path / "cola")
    cola.write_about({"budget": asdict(BUDGET), "inputs": {"cola": INPUTS["cola"]}})
    keep(cola, Trial(0, "cola", "teacher"), figures(0.4, 0.002, 8000))
    written = update_pages(CATALOG, cola, tmp_path / "docs", ["cola"]).read_text()
    assert "prune-activation-50" not in sections.read(written)["Not in the table"]


def test_runs_that_the_catalog_got_later_are_called_missing(page: str) -> None:
    older = page.replace(", prune-activation-50", "")
    assert older != page
    ran = sections.Ran({}, [], {"sst2": "SST-2"})
    gaps = sections.read(sections.updated(CATALOG, older, {}, ran))["Not in the table"]
    (line,) = [each for each in gaps.splitlines() if "Not run yet on SST-2" in each]
    assert ", prune-activation-50" in line
    assert ", quantize-int8," not in line  # it has a row


def test_a_section_without_runs_is_an_error(state: State, tmp_path: Path, page: str) -> None:
    with pytest.raises(ValueError, match="no runs of the section early-exit"):
        update_pages(CATALOG, state, tmp_path / "docs", ["early-exit"])


def test_an_update_of_a_section_does_not_start_all_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["methods", "--state", str(tmp_path), "--update", "cola"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "--update: add --render, or --only" in capsys.readouterr().err
