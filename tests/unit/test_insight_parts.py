"""The parts of price tags that insights read show what whole price tags show."""

from __future__ import annotations

from typing import get_args

import pytest

from app.services.billing.documents import tag_view
from app.services.insights.tags import parts_of
from pricetag.tag.axes import Axis
from pricetag.tag.axis_figures import figure_on
from pricetag.tag.evaluated import ScoredRun
from pricetag.tag.frontier import variant_rows
from tests.support.golden import NAMES, content

RECIPE = {"task": "classification", "data": {"path": "reviews", "label": "stars"}}


@pytest.mark.parametrize("name", NAMES)
def test_figures_scores_and_variants_of_the_parts_are_those_of_the_whole(name: str) -> None:
    whole = content(name)
    parts = parts_of(whole)
    assert len(str(parts)) < 0.9 * len(str(whole))
    views = [tag_view(document, "attempt-ended") for document in (whole, parts)]
    for axis in get_args(Axis):
        figures = [figure_on(view, axis).as_dict() for view in views]
        assert figures[0] == figures[1], axis
    scored = [ScoredRun(view, RECIPE) for view in views]
    assert scored[0].scores == scored[1].scores
    rows = [variant_rows(view, baseline=None, inferences=1_000_000) for view in views]
    assert rows[0] == rows[1]
    names = [(v.document.run_id, v.document.name, v.document.version, v.name) for v in views]
    assert names[0] == names[1]
