from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings

from app.reports import FORMATS, build_context, render
from pricetag.tag.scores import SCORES
from tests.support.price_tags import compressed_run, failed_run, nested_run, owned_run, tag
from tests.unit.reports.strategies import names

AT = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
IT_KWH = (140 * 370 + 10 * 70) / 3.6e6
ENDS = ("value", "low", "high")


def section(context: dict[str, Any], id_: str) -> dict[str, Any]:
    wanted_section: dict[str, Any] = next(s for s in context["sections"] if s["id"] == id_)
    return wanted_section


def rows(context: dict[str, Any], id_: str, table: int = 0) -> list[list[str]]:
    return [row["cells"] for row in section(context, id_)["tables"][table]["rows"]]


def test_totals_are_over_all_runs_and_attempts(site: dict[str, Any]) -> None:
    totals = site["totals"]
    assert totals["runs"] == 3
    assert totals["attempts"] == 4
    assert totals["runs_by_status"] == {"succeeded": 1, "failed": 1, "cancelled": 1}
    assert totals["it_energy_kwh"]["value"] == pytest.approx(IT_KWH)
    wasted_kwh = (40 * 370 + 10 * 70) / 3.6e6
    assert totals["unsuccessful_it_energy_kwh"]["value"] == pytest.approx(wasted_kwh)
    assert totals["device_hours"]["value"] == pytest.approx(140 / 3600)


def test_a_re_priced_tag_is_marked_as_such(tags: list[dict[str, Any]]) -> None:
    first, failed, _ = tags
    old = first["provenance"] | {"as_of": "2026-01-31T23:59:59.999999+00:00"}
    shown = [
        first | {"version": 7, "provenance": old, "cause": "repriced"},
        failed | {"version": 2, "cause": "repriced"},
        failed | {"version": 3, "cause": "journal-came-late", "name": "late"},
    ]
    context = build_context("x", "site", shown, generated_at=AT)
    notes = section(context, "bill")["tables"][0]["notes"]
    assert [note for note in notes if "version" in note] == [
        "MiniLM fine-tuned, then int8: version 7 of its price tag, re-priced with the factors "
        "known on 2026-01-31.",
        "failed early: version 2 of its price tag, re-priced with the factors known when it was "
        "issued.",
    ]
    assert [row[1] for row in rows(context, "provenance")] == [
        "version 7, accounting 1; re-priced with the factors known on 2026-01-31",
        "version 2, accounting 1; re-priced with the factors known when it was issued",
        "version 3, accounting 1",
    ]


def test_the_methods_state_that_the_energy_is_a_share_of_the_machine_s(
    tags: list[dict[str, Any]],
) -> None:
    def statement(*shown: dict[str, Any]) -> str:
        context = build_context("x", "site", shown, generated_at=AT)
        return str(section(context, "methods")["paragraphs"][0])

    owned = tag(owned_run())
    half = (
        "energy is a charged share, 50.0%, of the gross energy of machines that other work may use"
    )
    assert f" The {half}" in statement(owned)
    assert f" For 1 of 2 runs the {half}" in statement(owned, tags[0])
    share = owned["split"]["charged_ratio"] | {"value": 0.2, "low": 0.2, "high": 0.2}
    fifth = {**owned, "split": {"charged_ratio": share}}
    assert " For 2 of 2 runs the energy is a charged share, 20.0% to 50.0%, of" in statement(
        owned, fifth
    )
    assert "charged share" not in statement(*tags)


def test_a_sum_without_one_of_the_runs_is_marked_as_a_lower_bound(site: dict[str, Any]) -> None:
    assert (
        site["totals"]["it_energy_kwh"]["reason"] == "at least: 1 of 3 are unknown and not included"
    )
    assert site["totals"]["co2e_kg"]["reason"] == "at least: 2 of 3 are unknown and not included"
    assert "at least 14.6 Wh" in site["lead"]
    assert ["IT energy", "14.6 Wh (a)", "12.9 to 17.8 Wh", "modelled"] in rows(site, "bill")


def test_the_site_profile_uses_the_factors_of_the_tags(site: dict[str, Any]) -> None:
    whole = site["runs"][0]
    kwh = 140 * 370 / 3.6e6 * 1.2
    assert whole["facility_energy_kwh"]["value"] == pytest.approx(kwh)
    assert whole["co2e_kg"]["value"] == pytest.approx(kwh * 0.381)
    assert whole["co2e_lb"]["value"] == pytest.approx(kwh * 0.381 / 0.45359237)
    assert (whole["cloud_cost"]["low"], whole["cloud_cost"]["high"]) == (
        pytest.approx(140 / 3600 * 2),
        pytest.approx(140 / 3600 * 4),
    )


def test_the_paper_s_profile_applies_its_own_factors(paper: dict[str, Any]) -> None:
    whole, failed, _ = paper["runs"]
    kwh = 140 * 370 / 3.6e6 * 1.58
    assert whole["facility_energy_kwh"]["value"] == pytest.approx(kwh)
    assert whole["co2e_lb"]["value"] == pytest.approx(kwh * 0.954)
    assert whole["co2e_kg"]["value"] == pytest.approx(kwh * 0.954 * 0.45359237)
    assert failed["co2e_lb"]["value"] == pytest.approx(10 * 70 / 3.6e6 * 1.58 * 0.954)
    names = [factor["name"] for factor in paper["factors"]]
    assert names[:2] == ["pue", "carbon_intensity"]
    assert "Strubell" in paper["factors"][0]["citation"]


@pytest.mark.parametrize(
    ("power_w", "hours", "kwh", "lb"),
    [
        (1415.78, 12, 27, 26),
        (1515.43, 84, 201, 192),
        (517.66, 336, 275, 262),
        (12041.51, 79.2, 1507, 1438),
    ],
)
def test_the_published_rows_are_reproduced(power_w: float, hours: float, kwh: int, lb: int) -> None:
    measured = tag(compressed_run())
    published = {
        "it_energy_kwh": power_w * hours / 1000,
        "power_w": power_w,
        "duration_s": hours * 3600,
    }
    for name, value in published.items():
        measured[name] |= {"value": value, "low": value, "high": value}
    context = build_context("Paper", "strubell2019", [measured], generated_at=AT)
    row = context["runs"][0]
    assert round(row["facility_energy_kwh"]["value"]) == kwh
    assert round(row["co2e_lb"]["value"]) == lb
    shown = rows(context, "runs")[0]
    assert shown[3] == f"{hours:.1f}" if hours < 100 else "336"
    assert shown[4] in (str(kwh), f"{kwh:,}", "26.8")


def test_unknown_is_never_zero(site: dict[str, Any]) -> None:
    _, failed, unmetered, _ = rows(site, "runs")
    notes = section(site, "runs")["tables"][0]["notes"]
    assert failed[5].startswith("n/a (")
    assert f"{failed[5][4:]} no grid zone is configured" in notes
    assert f"{unmetered[4][4:]} no component was metered" in notes
    assert unmetered[0] == "nothing metered (canceled)"


def test_a_run_that_failed_is_named_as_such(site: dict[str, Any]) -> None:
    assert [row[0] for row in rows(site, "runs")] == [
        "MiniLM fine-tuned, then int8",
        "failed early (failed)",
        "nothing metered (canceled)",
        "All runs",
    ]


def heads(table: dict[str, Any]) -> list[str]:
    return [column["label"] for column in table["columns"]]


def cells(table: dict[str, Any]) -> list[list[str]]:
    return [row["cells"] for row in table["rows"]]


def test_variants_are_shown_side_by_side(site: dict[str, Any]) -> None:
    size, use, energy = section(site, "compression")["tables"]
    assert size["caption"] == "Size and quality of every variant, scores on the validation split"
    assert heads(size) == ["Variant", "Parameters", "Size (MB)", "accuracy"]
    assert cells(size) == [
        ["after train stage", "22,713,216", "90.9", "0.8610"],
        ["after quantize stage", "22,713,216", "23.1 (25.4%)", "0.8580"],
    ]
    assert heads(use) == ["Variant", "Latency p50 (ms)", "Throughput (per s)"]
    assert cells(use) == [
        ["after train stage", "3.10", "2,581"],
        ["after quantize stage", "1.20 (38.7%)", "6,667 (2.6x)"],
    ]
    assert heads(energy)[1:4] == ["mWh per 1,000 inferences", "95% interval", "mWh to make it"]
    # 10 s at 370 W for 40,000 inferences, and for 100,000 of the smaller model; 1 s to make it.
    # It has paid back after 370 J / (0.0925 J - 0.0370 J).
    assert cells(energy) == [
        ["after train stage", "25.7", "22.8 to 31.0", "", "reference", ""],
        ["after quantize stage", "10.3 (40.0%)", "9.12 to 12.4", "103", "6,667", "6,240 to 7,111"],
    ]


def rescored(scores: Sequence[tuple[str, str | None]]) -> list[dict[str, Any]]:
    """The tables of variants that have these scores (metric and split)."""
    made = tag(compressed_run())
    for stage in made["stages"]:
        [accuracy] = [q for q in stage["quality"] if q["metric"] == "accuracy"] or [None]
        if accuracy is not None:
            stage["quality"].remove(accuracy)
            stage["quality"] += [{**accuracy, "metric": m, "split": s} for m, s in scores]
    context = build_context("x", "site", [made], generated_at=AT)
    tables: list[dict[str, Any]] = section(context, "compression")["tables"]
    return tables


def test_correlations_are_shown_beside_the_sizes() -> None:
    size = rescored([("pearson", "validation"), ("spearman", "validation")])[0]
    assert heads(size)[-2:] == ["spearman", "pearson"]
    assert size["caption"].endswith("scores on the validation split")
    assert heads(rescored([("pearson", None)])[0])[-1] == "pearson"
    assert rescored([("pearson", None)])[0]["caption"] == "Size and quality of every variant"


def test_scores_name_their_class_and_why_they_have_no_value() -> None:
    made = tag(compressed_run())
    like = made["quality"][0]
    f1 = {**like, "metric": "f1", "value": 0.8, "split": "test", "of_class": "equivalent"}
    mcc = {**like, "metric": "mcc", "value": None, "split": "test", "reason": "one class alone"}
    made["quality"] = [f1, mcc]
    for stage in made["stages"]:
        if stage["kind"] == "measure":
            stage["quality"] += [f1, mcc]
    context = build_context("x", "site", [made], generated_at=AT)
    for name in ("compression", "quality"):
        shown = str(section(context, name)["tables"])
        assert "0.8000 (class equivalent)" in shown
        assert shown.count("one class alone") == 1
    (table,) = section(context, "compression")["tables"][1:2]
    assert [row["cells"][2] for row in table["rows"]] == ["n/a (a)"] * len(table["rows"])
    assert table["notes"][-1] == "(a) one class alone"


def test_every_split_has_a_table_of_its_own() -> None:
    splits = ("validation", "test", "out_of_domain_" * 4)
    tables = rescored([(m, s) for s in splits for m in ("accuracy", "f1", "mcc")])
    assert [table["id"] for table in tables] == [
        "variants-size",
        "variants-quality-1",
        "variants-quality-2",
        "variants-quality-3",
        "variants-use",
        "variants-energy",
    ]
    assert [heads(table) for table in tables[1:4]] == [["Variant", "accuracy", "f1", "mcc"]] * 3
    assert [table["caption"] for table in tables[1:4]] == [
        f"Quality of every variant, scores on the {split} split" for split in sorted(splits)
    ]
    assert max(len(table["columns"]) for table in tables) <= 7


def test_many_scores_are_shown_in_their_own_table() -> None:
    size, quality, *_ = rescored([(m, "test") for m in SCORES])
    assert heads(size) == ["Variant", "Parameters", "Size (MB)"]
    assert heads(quality) == ["Variant", *SCORES]


def test_figures_of_one_kind_have_one_unit() -> None:
    made = tag(compressed_run())
    for stage in made["stages"]:
        if stage["kind"] == "measure":
            slow = {"metric": "latency_p95_batch_1_s", "value": 1.5, "unit": "s", "split": None}
            stage["quality"].append(slow | {"stage": stage["key"], "attempt": stage["attempt"]})
    context = build_context("x", "site", [made], generated_at=AT)
    use = section(context, "compression")["tables"][1]
    assert heads(use)[1:3] == ["Latency p50 (s)", "Latency p95 (s)"]
    assert cells(use)[1][1:3] == ["0.00120 (38.7%)", "1.50"]


def test_break_even_is_explained_below_its_table(site: dict[str, Any]) -> None:
    notes = " ".join(section(site, "compression")["tables"][2]["notes"])
    assert "energy per inference of the first - energy per inference of the variant" in notes
    assert "failed ones included" in notes
    assert "errors of the same meters cancel" in notes


def test_a_variant_that_uses_more_never_pays_back() -> None:
    made = tag(compressed_run())
    made["stages"][6]["quality"][0]["value"] = 39_000  # fewer inferences in the same ten seconds
    context = build_context("x", "site", [made], generated_at=AT)
    energy = section(context, "compression")["tables"][2]
    assert cells(energy)[1][4:] == ["never (a)", ""]
    assert energy["notes"][-1] == "(a) an inference has not become cheaper"


@pytest.mark.parametrize("fmt", ["html", "md", "tex"])
def test_every_text_format_shows_the_break_even(fmt: str, site: dict[str, Any]) -> None:
    text = render(site, fmt).content.decode()
    assert "6,667" in text
    assert "6,240 to 7,111" in text


def test_scores_are_listed_by_stage_and_split(site: dict[str, Any]) -> None:
    assert rows(site, "quality") == [
        ["MiniLM fine-tuned, then int8", "measure stage", "validation", "0.8610"],
        ["MiniLM fine-tuned, then int8", "measure stage", "validation", "0.8580"],
    ]


def test_figures_shown_with_variants_are_not_repeated(site: dict[str, Any]) -> None:
    assert rows(site, "quality", 1) == [
        ["MiniLM fine-tuned, then int8", "Repeated inference", "inferences", "40,000"],
        ["MiniLM fine-tuned, then int8", "Repeated inference", "inferences", "100,000"],
    ]


def test_the_bare_figures_of_all_stages_are_kept(site: dict[str, Any]) -> None:
    kept = [item for item in site["quality"] if item["metric"] == "model_bytes"]
    assert [(item["stage"], item["value"], item["unit"]) for item in kept] == [
        ("1-measure", 90_852_864, "bytes"),
        ("4-measure", 23_068_672, "bytes"),
    ]


def test_stages_of_every_attempt_are_listed(site: dict[str, Any]) -> None:
    stages = rows(site, "stages")
    assert [row[0] for row in stages] == [
        "1: train stage",
        "1: outside the stages",
        "Attempt 1",
        "2: train stage",
        "2: measure stage",
        "2: of which: Repeated inference",
        "2: quantize stage",
        "2: measure stage",
        "2: of which: Repeated inference",
        "2: outside the stages",
        "Attempt 2",
        "All attempts",
    ]
    assert stages[0][4] == "3.60"  # 35 s at 370 W in Wh
    assert section(site, "stages")["tables"][0]["columns"][4]["label"] == "IT energy (Wh)"


def test_the_methods_statement_describes_methods_and_amounts(
    site: dict[str, Any], paper: dict[str, Any]
) -> None:
    text = section(site, "methods")["paragraphs"][0]
    assert "accelerator energy by its hardware energy counter" in text
    assert "PUE is 1.20 (estimated; Site meter, annual mean, 2025)" in text
    assert "381 g/kWh (estimated; Ember, Yearly electricity data, DE, 2024" in text
    assert "3 runs (1 succeeded, 1 failed, 1 canceled; 4 attempts) used at least 14.6 Wh" in text
    assert "codecarbon 3.3.2" in text
    assert "PUE 1.58, 0.954 lb CO2e/kWh" in section(paper, "methods")["paragraphs"][0]


def test_factors_have_their_citation(site: dict[str, Any]) -> None:
    assert [row for row in rows(site, "factors") if row[0] == "Carbon intensity"] == [
        [
            "Carbon intensity",
            "381 g/kWh",
            "estimated",
            "Ember, Yearly electricity data; DE; 2024; lifecycle, production, location-based, "
            "annual; license: CC BY 4.0",
            "1",
        ]
    ]


def test_flags_and_second_opinions_are_reported(site: dict[str, Any]) -> None:
    coverage = rows(site, "checks")
    assert coverage[0][1:] == ["100.0%", "the run was attempted more than once"]
    assert coverage[2][1] == "0.0%"
    assert "nothing was metered" in coverage[2][2]
    opinions = rows(site, "checks", 1)
    whole = next(row for row in opinions if row[0].startswith("MiniLM") and row[2] == "all")
    assert (whole[1], whole[3], *whole[5:7]) == ("codecarbon 3.3.2", "14.4", "25.0", "+73.7%")
    assert whole[4].startswith("n/a")  # what the whole devices used was not kept
    assert whole[7].startswith("n/a")
    assert (
        "No other tool ran alongside the meter of nothing metered."
        in (section(site, "checks")["tables"][1]["notes"])
    )


def test_currencies_are_not_added_up() -> None:
    first, second = tag(compressed_run()), tag(compressed_run())
    second["cost"]["cloud"] |= {"unit": "EUR"}
    context = build_context("x", "site", [first, second], generated_at=AT)
    assert context["totals"]["cloud_cost"]["value"] is None
    assert context["totals"]["cloud_cost"]["reason"] == "different units: EUR, USD"


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_database_that_reorders_keys_changes_no_format(fmt: str, site: dict[str, Any]) -> None:
    stored = json.loads(json.dumps(site, sort_keys=True))
    rendered = render(stored, fmt)
    assert rendered.content == render(site, fmt).content
    assert rendered.filename == f"what-it-cost.{fmt}"
    assert rendered.media_type


def test_a_report_without_runs_is_still_valid() -> None:
    context = build_context("Nothing", "site", [], generated_at=AT)
    assert context["totals"]["it_energy_kwh"]["value"] is None
    for fmt in FORMATS:
        assert render(context, fmt).content


def test_invalid_arguments_are_rejected_with_their_name() -> None:
    with pytest.raises(ValueError, match="profile is 'home'"):
        build_context("x", "home", [], generated_at=AT)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="generated_at needs a time zone"):
        build_context("x", "site", [], generated_at=AT.replace(tzinfo=None))
    with pytest.raises(ValueError, match="format is 'doc': use one of html"):
        render({"title": "x"}, "doc")


@settings(max_examples=25, deadline=None)
@given(names)
def test_any_name_goes_through_all_text_formats(name: str) -> None:
    made = [tag(compressed_run(name)), tag(failed_run(name))]
    context = build_context(name, "site", made, generated_at=AT)
    json.dumps(context, allow_nan=False).encode()
    for fmt in ("html", "tex", "md", "csv", "json"):
        render(context, fmt).content.decode("utf-8")


def test_nested_stages_are_shown_by_their_depth() -> None:
    context = build_context("x", "site", [tag(nested_run())], generated_at=AT)
    assert [row[0] for row in rows(context, "stages")] == [
        "train.py",
        "of which: epoch",
        "of which: of which: forward",
        "of which: save",
        "outside the stages",
        "All attempts",
    ]


def test_a_run_that_was_metered_in_part_says_why_its_row_does_not_add_up(
    tags: list[dict[str, Any]],
) -> None:
    partly = tags[0] | {"coverage_ratio": tags[0]["coverage_ratio"] | dict.fromkeys(ENDS, 0.85)}
    table = section(build_context("x", "site", [partly, tags[0]], generated_at=AT), "runs")
    hours = [row["cells"][3] for row in table["tables"][0]["rows"]]
    assert [text.endswith("(a)") for text in hours] == [True, False, False]
    assert table["tables"][0]["notes"][0].startswith("(a) 85.0% of the time was metered: the power")
