"""The view model: built from the typed document, for price tags of every version."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.reports import build_context
from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.document.versions import ACCOUNTING_VERSION
from pricetag.accounting.quantity.quantity import Quantity
from pricetag.cli.views import price_tag_view, variants_view
from pricetag.tag.parts import parts_by_attempt, stages_with_outside
from pricetag.tag.payback import Window, break_even
from pricetag.tag.quality import score_rows
from pricetag.tag.summary import remarks, summary
from pricetag.tag.totals import total
from pricetag.tag.trust import compared_attempts, error_causes
from pricetag.tag.variants import break_even_inferences, variants
from pricetag.tag.view import TagView
from tests.support.golden import NAMES, content
from tests.support.price_tags import compressed_run, nested_run, owned_run
from tests.support.price_tags import tag as tag_of

AT = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize("name", NAMES)
def test_every_issued_price_tag_is_shown_and_reported(name: str) -> None:
    document = content(name)
    tag = TagView.read(document)
    energy = tag.document.energy.it_energy_kwh
    shown = {line.label: line.text for line in summary(tag)}
    assert shown["IT energy"].startswith("n/a ") == (energy.value is None)
    assert all(shown[text[4:]] for text in shown.values() if text.startswith("n/a ["))
    assert price_tag_view(document) is not None
    assert (variants_view(document) is None) == (variants(tag.document) == [])
    for profile in ("site", "strubell2019"):
        report = build_context("x", profile, [document], generated_at=AT)
        assert report["totals"]["it_energy_kwh"]["value"] == energy.value
        assert [line["stage"] for line in report["lines"]] == [
            None,
            *(stage.key for stage in tag.document.stages),
        ]


@pytest.mark.parametrize("name", NAMES)
def test_parts_of_attempts_add_up_to_the_run(name: str) -> None:
    tag = TagView.read(content(name))
    whole = tag.document.energy.it_energy_kwh.value
    parts = [part for _, parts in parts_by_attempt(tag) for part in parts if part.depth == 0]
    energies = [part.it_energy_kwh.value for part in parts if part.it_energy_kwh.value is not None]
    if whole is None:
        assert energies == []
    else:
        assert sum(energies) == pytest.approx(whole, rel=1e-9)


def test_stored_error_terms_give_the_same_break_even_as_recovered_ones() -> None:
    """All gains cancel either way; of the edges the document now states what was guessed."""
    old, new = (
        build_price_tag(replace(compressed_run(), accounting_version=version))
        for version in ("3", ACCOUNTING_VERSION)
    )
    before, after = (
        break_even_inferences(tag, variants(tag)[0], variants(tag)[-1]) for tag in (old, new)
    )
    assert after.value == before.value
    assert after.low == pytest.approx(before.low, rel=1e-6)
    assert after.high == pytest.approx(before.high, rel=1e-6)


def test_unknown_division_of_shared_devices_does_not_cancel_in_a_break_even() -> None:
    tag = build_price_tag(replace(compressed_run(), accounting_version=ACCOUNTING_VERSION))
    first, last = variants(tag)[0], variants(tag)[-1]
    assert first.metered is not None
    assert last.metered is not None
    making = [Window(stage) for stage in tag.stages if stage.key == "3-quantize"]
    plain = break_even(making, Window(first.metered, 1 / 40_000), Window(last.metered, 1e-5))
    energy = first.metered.energy
    components = tuple(
        replace(c, error=replace(c.error, division_kwh=(c.it_energy_kwh.value or 0.0) / 20))
        for c in energy.components
        if c.error is not None
    )
    shared = replace(first.metered, energy=replace(energy, components=components))
    wide = break_even(making, Window(shared, 1 / 40_000), Window(last.metered, 1e-5))
    assert plain.low is not None
    assert plain.high is not None
    assert wide.low is not None
    assert wide.high is not None
    assert wide.high - wide.low > 1.2 * (plain.high - plain.low)


def test_nested_stages_have_a_depth() -> None:
    tag = TagView(build_price_tag(nested_run()))
    parts = stages_with_outside(tag)
    assert [(part.name, part.depth) for part in parts] == [
        ("train.py", 0),
        ("epoch", 1),
        ("forward", 2),
        ("save", 1),
        ("", 0),
    ]


def test_two_stages_of_one_name_keep_their_scores_apart() -> None:
    rows = score_rows(TagView(build_price_tag(compressed_run())))
    assert [(row.stage, row.scores["accuracy"].value) for row in rows] == [
        ("measure stage", 0.861),
        ("measure stage", 0.858),
    ]


def test_versions_state_why_they_were_issued() -> None:
    tag = build_price_tag(replace(compressed_run(), version=2))
    assert TagView(tag).version_text(3) == "Version 2 of 3"
    assert TagView(tag, "journal-came-late").version_text(2) == (
        "Version 2: with measurements that arrived late"
    )
    then = replace(tag, provenance=replace(tag.provenance, as_of="2026-01-31T23:59:59.9+00:00"))
    assert TagView(then, "repriced").version_text() == (
        "Version 2: re-priced with the factors known on 2026-01-31"
    )


def test_causes_of_error_add_up_to_the_error_of_the_total() -> None:
    causes = list(error_causes(TagView(build_price_tag(owned_run()))))
    assert [one.label for one in causes] == ["IT energy", "Facility energy", "CO2e", "Cost"]
    for one in causes:
        assert sum(share.share_of_variance for share in one.shares) == pytest.approx(1.0)


def test_a_second_opinion_on_all_attempts_names_none() -> None:
    tag = build_price_tag(compressed_run())
    assert compared_attempts(TagView(tag)) is None
    assert tag.second_opinion is not None
    some = replace(tag, second_opinion=replace(tag.second_opinion, attempts=(2,)))
    assert compared_attempts(TagView(some)) == "attempt 2 of 2"


def test_sums_of_different_units_are_unknown() -> None:
    dollars, euros = (_cost(unit) for unit in ("USD", "EUR"))
    assert total([dollars, euros], "money").reason == "different units: EUR, USD"


def _cost(unit: str) -> Quantity:
    quantity = build_price_tag(compressed_run()).cost.total
    return replace(quantity, unit=unit)


def test_the_memory_model_is_stated_with_its_source() -> None:
    made = tag_of(compressed_run())
    note = "20 W at any load, 0.83 W per GB, by CodeCarbon 3.3.2"
    for part in made["components"]:
        part["notes"] = {"ram": note, "cpu": "TDP"}.get(part["kind"])
    view = TagView.read(made)
    assert [line for line in remarks(view) if "is modelled" in line] == [
        f"128 GB is modelled: {note}"
    ]
    report = build_context("x", "site", [made, made], generated_at=AT)
    stages = next(section for section in report["sections"] if section["id"] == "stages")
    assert stages["tables"][-1]["notes"][-2:] == [
        "AMD EPYC 9554 is modelled: TDP.",
        f"128 GB is modelled: {note}.",
    ]
