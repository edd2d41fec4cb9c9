"""The store of charts: files of each kind drawn for real, and who gets them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.api.deps import Resources
from app.charts.chart import LAB, Chart, Column
from app.charts.drawing import Drawing
from app.db import Session
from app.services.saved import charts
from models import Chart as StoredChart
from models import Project
from tests.support.api import Api, finished_run, problem
from tests.support.charts import ALL
from tests.support.pdf_texts import pdf_texts

MAX_SVG_BYTES = 200_000
PNG = b"\x89PNG\r\n\x1a\n"


def lab_chart(number: int = 0, projects: frozenset[str] = LAB) -> Chart:
    form = {"data": {"name": "drawn"}, "mark": "point", "encoding": {"x": {"field": "x"}}}
    columns = [Column("x", "Energy", "kWh")]
    return Chart("test", "Title", "Summary.", columns, [{"x": number}], form, projects)


async def kept(api: Api, *shown: Chart) -> None:
    async with api.database.session_scope() as session:
        await charts.keep(session, shown)


async def project(api: Api, name: str = "a project") -> None:
    await api.post_run(project=name)


@pytest.mark.parametrize("kind", ALL)
async def test_each_kind_is_drawn_in_every_format(api: Api, kind: str) -> None:
    await project(api)
    chart = ALL[kind]()
    await kept(api, chart)
    base = f"/v1/charts/{chart.sha256}"
    svg = await api.viewer.get(f"{base}.svg", params={"theme": "dark", "size": "narrow"})
    assert svg.status_code == 200, svg.text
    assert svg.headers["content-type"] == "image/svg+xml"
    assert svg.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert len(svg.content) < MAX_SVG_BYTES
    root = svg.text[: svg.text.index("<desc")]
    assert 'role="img"' in root
    assert 'width="320"' in root
    assert "<title" in root
    assert chart.summary in svg.text
    assert "<script" not in svg.text
    wide = await api.viewer.get(f"{base}.svg")
    assert len(wide.content) < MAX_SVG_BYTES
    assert f'width="760" height="{chart.height}"' in wide.text
    png = await api.viewer.get(f"{base}.png", params={"theme": "print"})
    assert png.content.startswith(PNG)
    assert int.from_bytes(png.content[16:20]) == 2 * 760
    pdf = await api.viewer.get(f"{base}.pdf")
    assert pdf.content.startswith(b"%PDF-")
    spec = (await api.viewer.get(f"{base}.json", params={"theme": "dark"})).json()
    assert spec["datasets"]["drawn"] == [dict(row) for row in chart.rows]
    assert spec["config"]["background"] == "#181d1b"
    table = await api.viewer.get(f"{base}.csv")
    assert table.text.splitlines()[0].startswith(chart.columns[0].heading)


async def test_a_chart_is_stored_once_by_its_hash(api: Api) -> None:
    one, other = lab_chart(1), lab_chart(2)
    await kept(api, one, other, one)
    await kept(api, other, one)
    async with api.database.session_scope() as session:
        stored = (await session.execute(select(StoredChart.sha256))).scalars().all()
        assert sorted(stored) == sorted([one.sha256, other.sha256])
    response = await api.viewer.get(f"/v1/charts/{one.sha256}.csv")
    assert response.text == "Energy [kWh]\r\n1\r\n"


async def test_a_chart_that_was_used_lately_is_not_locked(committed_api: Api) -> None:
    chart = lab_chart()
    await kept(committed_api, chart)
    database = committed_api.database
    async with database.session_scope() as session, database.session_scope() as other:
        await charts.keep(session, [chart])
        locked = select(StoredChart.sha256).with_for_update(nowait=True)
        assert (await other.execute(locked)).scalars().all() == [chart.sha256]


async def test_a_chart_of_a_private_project_is_not_there_for_others(api: Api) -> None:
    await project(api, "open")
    await project(api, "secret")
    chart = lab_chart(projects=frozenset({"open", "secret"}))
    await kept(api, chart)
    path = f"/v1/charts/{chart.sha256}.csv"
    assert (await api.viewer.get(path)).status_code == 200
    async with api.database.session_scope() as session:
        await session.execute(
            update(Project).where(Project.name == "secret").values(visibility="private")
        )
    hidden = problem(await api.viewer.get(path), 404, "chart-not-found")
    assert hidden["errors"][0]["field"] == "sha256"
    assert "secret" not in json.dumps(hidden)
    assert (await api.member.get(path)).status_code == 200  # posted the run, so owns the project
    assert (await api.admin.get(path)).status_code == 200


async def test_a_chart_that_names_no_project_of_the_lab_is_a_defect(api: Api) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        await kept(api, lab_chart(projects=frozenset({"nowhere"})))


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"{'0' * 64}.svg", 404, "chart-not-found"),
        ("x.svg", 422, "invalid-request"),
        (f"{'0' * 64}.gif", 422, "invalid-request"),
        (f"{'0' * 64}.svg?theme=pink", 422, "invalid-request"),
    ],
)
async def test_errors_are_problems(api: Api, path: str, status: int, code: str) -> None:
    problem(await api.viewer.get(f"/v1/charts/{path}"), status, code)


async def test_a_chart_that_cannot_be_drawn_says_so_and_has_its_data(api: Api) -> None:
    chart = lab_chart()
    await kept(api, chart)
    resources: Resources = api.app.state.resources
    resources.charts = Drawing(("false",))
    path = f"/v1/charts/{chart.sha256}"
    failed = problem(await api.viewer.get(f"{path}.svg"), 500, "chart-not-drawn")
    assert "CSV" in failed["detail"]
    assert (await api.viewer.get(f"{path}.csv")).status_code == 200
    resources.charts = Drawing(("false",), most_waiting=0)
    busy = await api.viewer.get(f"{path}.svg")
    problem(busy, 503, "charts-busy")
    assert busy.headers["retry-after"]


async def age(session: Session, chart: Chart, days: int, *, kept_days: int = 30) -> None:
    """Makes a chart as if it was last used some days ago, and made ``kept_days`` before."""
    used_at = datetime.now(UTC) - timedelta(days=days)
    times = {"used_at": used_at, "created_at": used_at - timedelta(days=kept_days)}
    await session.execute(
        update(StoredChart).where(StoredChart.sha256 == chart.sha256).values(times)
    )


async def stored(session: Session) -> set[str]:
    return set((await session.execute(select(StoredChart.sha256))).scalars())


async def test_charts_that_nobody_uses_are_deleted_and_their_number_is_bounded(
    api: Api, monkeypatch: Any
) -> None:
    shown = [lab_chart(number) for number in range(6)]
    await kept(api, *shown)
    async with api.database.session_scope() as session:
        for days, chart in zip((100, 91, 89, 50, 2, 1), shown, strict=True):
            await age(session, chart, days)
    # A picture of the first, and the page of the second, were opened again.
    await api.viewer.get(f"/v1/charts/{shown[0].sha256}.csv")
    async with api.database.session_scope() as session:
        assert await charts.forget_unused(session) == 1
        assert shown[1].sha256 not in await stored(session)
    await kept(api, shown[1])
    monkeypatch.setattr(charts, "MOST", 3)
    async with api.database.session_scope() as session:
        await charts.forget_unused(session)
        left = await stored(session)
    assert left == {shown[0].sha256, shown[1].sha256, shown[5].sha256}


async def test_charts_that_nobody_used_after_their_day_are_deleted_after_a_week(api: Api) -> None:
    shown = [lab_chart(number) for number in range(4)]
    await kept(api, *shown)
    async with api.database.session_scope() as session:
        for chart, days, kept_days in zip(shown, (8, 6, 8, 89), (0, 0, 2, 3), strict=True):
            await age(session, chart, days, kept_days=kept_days)
        assert await charts.forget_unused(session) == 1
        assert await stored(session) == {chart.sha256 for chart in shown[1:]}


async def test_a_report_has_its_charts_or_says_why_not(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_ids = [str(await finished_run(session, name=f"run {n}")) for n in range(2)]
    body = {"title": "t", "profile": "site", "runs": run_ids}
    report = (await api.member.post("/v1/reports", json=body)).json()
    resources: Resources = api.app.state.resources
    page = await api.member.get(f"/v1/reports/{report['id']}.html")
    assert page.text.count('src="data:image/svg+xml;base64,') == 1
    assert "How the energy adds up" in page.text
    pdf = await api.member.get(f"/v1/reports/{report['id']}.pdf")
    undrawn = "The charts of this report could not be drawn"
    assert undrawn not in pdf_texts(pdf.content)
    resources.charts = Drawing(("false",))
    plain = await api.member.get(f"/v1/reports/{report['id']}.pdf")
    assert plain.status_code == 200
    assert undrawn in pdf_texts(plain.content)
    assert len(pdf.content) > len(plain.content)  # charts are drawn by lines and text
    page = await api.member.get(f"/v1/reports/{report['id']}.html")
    assert page.status_code == 200
    assert undrawn in page.text
