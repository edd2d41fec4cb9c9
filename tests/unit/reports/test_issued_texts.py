"""Texts of price tags in plainer words; the price tag itself keeps its own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pricetag.accounting.document.explanation import Looked, Part, explain
from pricetag.accounting.quantity.quantity import Quantity
from pricetag.accounting.work import operations
from pricetag.cli.views import price_tag_view
from pricetag.tag.issued_texts import plain
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
    reason = operations.SCRIPTS_OWN
    shown = "the script did not report its operations; call pricetag.flops(dense) in the script"
    assert plain(reason) == shown


@pytest.mark.parametrize("text", ["", "no tariff is known", "it looked fine"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize("path", sorted(PRICE_TAGS.glob("*.json")), ids=lambda path: path.stem)
def test_issued_price_tags_are_shown_in_plain_words(path: Path) -> None:
    stored = json.loads(path.read_text())
    shown = drawn(price_tag_view(stored["content"]))
    assert ODD.search(" ".join(shown.split())) is None
