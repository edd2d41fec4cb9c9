"""Parts of pages: what they are given is text, never part of the page."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.web.elements import Elements
from app.web.views.charts import CellView
from app.web.views.figures import FigureView

TAG = "<b title='x\"y'>&"
WRITTEN = "&lt;b title=&#39;x&#34;y&#39;&gt;&amp;"
PARTS = Elements.of(f"../icons.svg?{TAG}")


@pytest.mark.parametrize("compact", [False, True])
def test_a_figure_writes_every_text_as_text(compact: bool) -> None:
    view = FigureView(1.5, TAG, TAG, TAG, TAG, TAG, TAG, is_provisional=True)
    written = PARTS.figure(view, compact=compact, mark=TAG)
    assert "<b" not in written
    assert f"{WRITTEN}</data>" in written if compact else f">{WRITTEN}</span></data>" in written
    for part in ("interval", "provisional-mark", "hint caveat"):
        assert f'class="{part}">{WRITTEN}<' in written
    assert f'title="{WRITTEN}"><data value="1.5">{WRITTEN}' in written


def test_an_unknown_figure_states_why() -> None:
    view = FigureView(None, "n/a", "", "", None, "", TAG)
    assert f"<summary>n/a</summary><p>{WRITTEN}</p>" in PARTS.figure(view)


def test_a_status_an_icon_and_a_time_write_texts_as_text() -> None:
    for written in (PARTS.status(TAG), PARTS.icon(TAG), PARTS.source(TAG), PARTS.time(None, TAG)):
        assert "<b" not in written
        assert WRITTEN in written
    at = datetime(2026, 3, 1, 14, 5, 6, tzinfo=UTC)
    assert PARTS.time(at) == (
        '<time datetime="2026-03-01T14:05:06+00:00">2026-03-01 14:05 UTC</time>'
    )
    assert PARTS.source(None) == ""


def test_rows_of_a_chart_write_texts_as_text() -> None:
    written = PARTS.rows([[CellView(TAG, TAG, False), CellView(TAG, TAG, False)]])
    heading = f'<th scope="row"><bdi class="clip">{WRITTEN}</bdi></th>'
    assert written == f"<tr>{heading}<td><bdi>{WRITTEN}</bdi></td></tr>"
    cells = [CellView("noon", "noon", False), CellView("1.5", 1.4999, True)]
    assert '<td class="number" title="1.4999"><bdi>1.5</bdi></td></tr>' in PARTS.rows(
        [cells, cells]
    )
