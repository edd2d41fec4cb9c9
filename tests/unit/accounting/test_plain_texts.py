"""Texts of price tags in plainer words; the price tag itself keeps its own."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pricetag.accounting.bill.inputs import SecondOpinion
from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.document.explanation import Looked, Part, explain
from pricetag.accounting.document.plain_texts import plain, version_5_words
from pricetag.accounting.quantity.quantity import Quantity
from pricetag.accounting.work import operations
from pricetag.cli.views import price_tag_view
from tests.unit.accounting import builders as b
from tests.unit.cli.test_views import drawn

PRICE_TAGS = Path(__file__).parents[2] / "data" / "price_tags"
ODD = re.compile(r"what is left|more seldom|looked for|theirs sees|against that|nobody counts|tell")


def part(kind: str | None, theirs: float | None, ours: float | None, *, metered: bool) -> Part:
    def kwh(value: float | None) -> Quantity:
        return (
            Quantity.unknown("kWh", "no reading")
            if value is None
            else Quantity.exact(value, "kWh", "counter")
        )

    methods = frozenset({"counter" if metered else "modelled"})
    gross = kwh(None if ours is None else ours * 1.5)
    return Part(kind, kwh(theirs), kwh(ours), gross, methods)


def explanations() -> list[str]:
    parts = [
        part("gpu", 2.0, 1.0, metered=True),
        part("cpu", 2.0, 1.0, metered=False),
        part("ram", 2.0, 1.0, metered=True),
        part("ram", 2.0, 1.0, metered=False),
        part("cpu", None, 1.0, metered=True),
        part("gpu", 1.0, None, metered=True),
    ]
    total = part(None, 9.0, 5.0, metered=True)
    causes = explain(parts, total, Looked(60.0, 90.0), pue=1.3, reason="no GPU")
    causes += explain(
        [part("gpu", 1.95, 1.0, metered=True)],
        part(None, 1.95, 1.0, metered=True),
        Looked(1.0, 1.0),
        pue=1.3,
        reason=None,
    )
    return [cause.text for cause in causes]


def test_every_cause_of_a_difference_has_plain_words() -> None:
    texts = explanations()
    assert len(texts) >= 9
    assert sum(ODD.search(text) is not None for text in texts) >= 4
    assert [plain(text) for text in texts if ODD.search(plain(text))] == []
    figures = re.compile(r"\d+(?:[.,]\d+)*%?")
    for text in texts:  # no figure is lost or changed
        assert figures.findall(plain(text)) == figures.findall(text)


def test_the_reason_of_uncounted_operations_has_plain_words() -> None:
    assert plain(operations.FORMER_SCRIPTS_OWN) == operations.SCRIPTS_OWN
    assert ODD.search(operations.SCRIPTS_OWN) is None


def test_uncounted_operations_of_a_block_of_a_script_state_how_to_report_them() -> None:
    for stored in ("not counted: stage 0 (track)", "a lower bound, not counted: stage 1 (track)"):
        shown = plain(stored)
        assert shown == f"{stored}; the script can report them with pricetag.flops(dense)"
        assert plain(shown) == shown
    assert plain("not counted: stage 0 (quantize)") == "not counted: stage 0 (quantize)"


def test_reason_of_a_measurement_is_stored_unchanged_and_shown_in_plain_words() -> None:
    stored = "gpu:0: the counter stood still, and there is no model in its place; cpu: lost"
    assert version_5_words(stored) == stored
    assert plain(stored) == (
        "gpu:0: the energy counter did not advance, and no model replaces it; cpu: lost"
    )


@pytest.mark.parametrize(("version", "is_plain"), [("3", False), ("4", False), ("5", True)])
def test_price_tags_store_plain_words_from_version_5_on(version: str, is_plain: bool) -> None:
    opinion = SecondOpinion("codecarbon", "3", 0.01, 0.02, 0.03, 0.06, duration_s=7.0)
    script = b.stage("0", 0.0, 60.0, [b.GPU, b.CPU, b.RAM], kind="command")
    attempt = replace(b.attempt(1, 60.0, stages=[script]), second_opinion=opinion)
    inputs = replace(b.inputs(attempt), accounting_version=version)
    stored = json.dumps(build_price_tag(inputs).as_dict())
    assert (ODD.search(stored) is None) is is_plain
    assert (operations.SCRIPTS_OWN in stored) is is_plain
    assert ("nobody counts" in stored) is not is_plain


@pytest.mark.parametrize("text", ["", "no tariff is known", "it looked fine"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize("path", sorted(PRICE_TAGS.glob("*.json")), ids=lambda path: path.stem)
def test_issued_price_tags_are_shown_in_plain_words(path: Path) -> None:
    stored = json.loads(path.read_text())
    shown = drawn(price_tag_view(stored["content"]))
    assert ODD.search(" ".join(shown.split())) is None
