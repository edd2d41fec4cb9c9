from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from app.services.attempts import execution
from models import Artifact, Reading
from tests.support.api import Api, fields, finished_run, problem, running_run
from tests.support.executions import GPU, JournalMaker, claimed, make_run

J_PER_KWH = 3.6e6


async def power(api: Api, run_id: UUID, **query: Any) -> dict[str, dict[str, Any]]:
    response = await api.viewer.get(f"/v1/runs/{run_id}/power", params=query)
    assert response.status_code == 200, response.text
    (attempt,) = response.json()["attempts"]
    return {series["component"]: series for series in attempt["series"]}


async def ramp(api: Api, seconds: int) -> UUID:
    """A run whose GPU draws 100 W, 101 W, ... at one reading a second."""
    async with api.database.session_scope() as session:
        run = await make_run(session)
        claim = await claimed(session, run.id)
        journal = JournalMaker(claim.attempt_id)
        journal.start()
        energy_j = 0.0
        for second in range(seconds + 1):
            power_w = 100.0 + second
            energy_j += power_w if second else 0.0
            for component, counter_j in ((GPU, 5e5 + energy_j), ("cpu", None)):
                journal.add(
                    "reading",
                    float(second),
                    component=component,
                    counter_j=counter_j,
                    integrated_j=energy_j,
                    power_w=power_w,
                    flags=[],
                )
        await execution.ingest(session, claim.attempt_id, journal.records)
    return run.id


@pytest.mark.parametrize("points", [1, 2, 7, 59, 60, 5000])
async def test_thinning_keeps_energy_time_and_extremes(api: Api, points: int) -> None:
    run_id = await ramp(api, 60)
    energy_kwh = sum(100.0 + second for second in range(1, 61)) / J_PER_KWH
    for series in (await power(api, run_id, points=points)).values():
        assert len(series["t_s"]) == min(points, 60)
        assert series["downsampled"] is (points < 60)
        assert sum(series["energy_kwh_points"]) == pytest.approx(energy_kwh, rel=1e-12)
        assert series["energy_kwh"] == pytest.approx(energy_kwh, rel=1e-12)
        assert sum(series["duration_s"]) == pytest.approx(60.0)
        assert (min(series["min_w"]), max(series["max_w"])) == (100.0, 160.0)
        ends = [t + d for t, d in zip(series["t_s"], series["duration_s"], strict=True)]
        assert ends[:-1] == pytest.approx(series["t_s"][1:])
        for mean_w, duration_s, point_kwh in zip(
            series["mean_w"], series["duration_s"], series["energy_kwh_points"], strict=True
        ):
            assert mean_w * duration_s == pytest.approx(point_kwh * J_PER_KWH)


async def test_components_are_named(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await finished_run(session)
    series = await power(api, run_id)
    assert {(s["component"], s["kind"], s["name"]) for s in series.values()} == {
        (GPU, "gpu", "NVIDIA H200"),
        ("cpu", "cpu", "AMD EPYC 9554"),
    }
    assert series[GPU]["energy_kwh"] == pytest.approx(1600 / J_PER_KWH)


async def test_a_counter_that_was_reset_leaves_the_integral(api: Api) -> None:
    run_id = await ramp(api, 10)
    async with api.database.session_scope() as session:
        await session.execute(
            update(Reading)
            .where(Reading.component == GPU, Reading.t_s >= 5)
            .values(counter_j=Reading.counter_j - 5e5)
        )
    series = await power(api, run_id)
    assert series[GPU]["energy_kwh"] == pytest.approx(series["cpu"]["energy_kwh"])


ZONE = "rapl:intel-rapl:0"


async def counted(api: Api, readings: Sequence[tuple[float, float | None, list[str]]]) -> UUID:
    """A run with a host's counter, read once a second: counter, model, flags."""
    async with api.database.session_scope() as session:
        run = await make_run(session)
        claim = await claimed(session, run.id)
        journal = JournalMaker(claim.attempt_id)
        journal.start()
        for second, (counter_j, integrated_j, flags) in enumerate(readings):
            figures = {"counter_j": counter_j, "integrated_j": integrated_j, "power_w": None}
            journal.add("reading", float(second), component=ZONE, flags=flags, **figures)
        await execution.ingest(session, claim.attempt_id, journal.records)
    return run.id


@pytest.mark.parametrize("model_w", [50.0, None])
async def test_a_frozen_counter_is_replaced_or_unknown(api: Api, model_w: float | None) -> None:
    trace = [(65.0 * min(second, 5), second) for second in range(12)]
    run_id = await counted(
        api, [(counter, None if model_w is None else model_w * t, []) for counter, t in trace]
    )
    series = (await power(api, run_id))[ZONE]
    assert series["mean_w"] == [pytest.approx(65.0)] * 5 + [model_w and pytest.approx(model_w)] * 6


@pytest.mark.parametrize(("resumes_j", "total_j"), [(16 * 65.0, 16 * 65.0), (390.0, 890.0)])
async def test_a_catch_up_of_a_counter_is_counted_once(
    api: Api, resumes_j: float, total_j: float
) -> None:
    trace = [(65.0 * min(second, 5), 50.0 * second, list[str]()) for second in range(16)]
    run_id = await counted(api, [*trace, (resumes_j, 50.0 * 16, [])])
    series = (await power(api, run_id))[ZONE]
    assert series["energy_kwh"] == pytest.approx(total_j / J_PER_KWH)


@pytest.mark.parametrize("flag", ["implausible_power", "reset"])
async def test_a_jump_is_not_power(api: Api, flag: str) -> None:
    trace = [(0.0, 0.0, []), (65.0, 50.0, []), (150_000.0, 100.0, [flag]), (150_065.0, 150.0, [])]
    series = (await power(api, await counted(api, trace)))[ZONE]
    assert series["mean_w"] == [pytest.approx(power_w) for power_w in (65.0, 50.0, 65.0)]


async def test_unmetered_time_is_null(api: Api) -> None:
    run_id = await ramp(api, 4)
    async with api.database.session_scope() as session:
        await session.execute(
            update(Reading)
            .where(Reading.component == "cpu")
            .values(integrated_j=None, power_w=None)
        )
    series = (await power(api, run_id, points=2))["cpu"]
    assert series["energy_kwh"] is None
    assert series["mean_w"] == series["max_w"] == series["energy_kwh_points"] == [None, None]
    assert series["duration_s"] == [2.0, 2.0]


async def test_an_attempt_is_chosen_by_number(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await running_run(session, 2)
    for path in ("power", "metrics", "logs"):
        url = f"/v1/runs/{run_id}/{path}"
        assert (await api.viewer.get(url, params={"attempt": 1})).status_code == 200
        refused = await api.viewer.get(url, params={"attempt": 2})
        assert fields(problem(refused, 404, "attempt-not-found")) == ["attempt"]


async def chatty_run(api: Api, lines: int) -> UUID:
    async with api.database.session_scope() as session:
        run = await make_run(session)
        claim = await claimed(session, run.id)
        journal = JournalMaker(claim.attempt_id)
        journal.start()
        for number in range(lines):
            journal.add("log", float(number), stream="stdout", text=f"line {number}")
            journal.add("metric", float(number), key=None, name="loss", value=1.0 / (number + 1))
        await execution.ingest(session, claim.attempt_id, journal.records)
        await execution.close_lost(session, claim.attempt_id)
        again = await claimed(session, run.id)
        journal = JournalMaker(again.attempt_id)
        journal.start()
        journal.add("log", 0.0, stream="stderr", text="again")
        await execution.ingest(session, again.attempt_id, journal.records)
    return run.id


async def test_logs_are_read_on_across_attempts(api: Api) -> None:
    run_id = await chatty_run(api, 5)
    after: str | None = None
    read: list[str] = []
    sizes: list[int] = []
    while True:
        params: dict[str, Any] = {"limit": 2} | ({"after": after} if after else {})
        page = (await api.viewer.get(f"/v1/runs/{run_id}/logs", params=params)).json()
        assert page["next_after"] is not None
        if not page["items"]:
            assert page["next_after"] == after
            break
        after = page["next_after"]
        sizes.append(len(page["items"]))
        read += [f"{line['attempt']} {line['text']}" for line in page["items"]]
    assert read == [*(f"1 line {number}" for number in range(5)), "2 again"]
    assert sizes == [2, 2, 2]
    only = (await api.viewer.get(f"/v1/runs/{run_id}/logs", params={"attempt": 2})).json()
    assert [(line["stream"], line["text"]) for line in only["items"]] == [("stderr", "again")]


async def test_metrics_are_listed_in_pages_and_by_name(api: Api) -> None:
    run_id = await chatty_run(api, 5)
    url = f"/v1/runs/{run_id}/metrics"
    first = (await api.viewer.get(url, params={"limit": 3})).json()
    second = (await api.viewer.get(url, params={"limit": 3, "cursor": first["next_cursor"]})).json()
    values = [item["value"] for item in first["items"] + second["items"]]
    assert values == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    assert second["next_cursor"] is None
    assert (await api.viewer.get(url, params={"name": "accuracy"})).json()["items"] == []
    refused = await api.viewer.get(f"/v1/runs/{run_id}/logs", params={"after": "WyJhIl0"})
    assert fields(problem(refused, 422, "invalid-cursor")) == ["after"]


async def test_a_misspelled_metric_of_a_run_that_has_ended_is_an_error(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await finished_run(session)
    url = f"/v1/runs/{run_id}/metrics"
    for name, typo, hint in (("name", "acuracy", "'accuracy'"), ("split", "val", "'validation'")):
        unknown = problem(await api.viewer.get(url, params={name: typo}), 404, "metric-not-found")
        assert fields(unknown) == [name]
        assert f"'{typo}'; it has " in unknown["detail"]
        assert hint in unknown["detail"]


async def test_metrics_have_split_and_quality(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await finished_run(session)
    page = await api.viewer.get(f"/v1/runs/{run_id}/metrics", params={"split": "validation"})
    (metric,) = page.json()["items"]
    assert (metric["name"], metric["value"], metric["quality"], metric["stage"]) == (
        "accuracy",
        0.9,
        True,
        "1",
    )


async def test_metrics_name_their_class_and_why_they_have_no_value(api: Api) -> None:
    async with api.database.session_scope() as session:
        run = await make_run(session)
        claim = await claimed(session, run.id)
        journal = JournalMaker(claim.attempt_id)
        journal.start()
        about = {"key": None, "split": "validation", "quality": True}
        journal.add("metric", 1.0, name="f1", value=0.8, of_class="equivalent", **about)
        journal.add("metric", 2.0, name="mcc", value=None, reason="one class alone", **about)
        await execution.ingest(session, claim.attempt_id, journal.records)
    page = await api.viewer.get(f"/v1/runs/{run.id}/metrics")
    assert [
        (item["name"], item["value"], item["of_class"], item["reason"])
        for item in page.json()["items"]
    ] == [("f1", 0.8, "equivalent", None), ("mcc", None, None, "one class alone")]


async def artifact_of(api: Api, content: bytes | None) -> tuple[UUID, dict[str, Any]]:
    async with api.database.session_scope() as session:
        run_id = await finished_run(session)
    if content is not None:
        path = api.settings.artifacts_root / "run/1/model.safetensors"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    (artifact,) = (await api.viewer.get(f"/v1/runs/{run_id}/artifacts")).json()["items"]
    return run_id, artifact


async def test_an_artifact_is_downloaded_whole_and_in_part(api: Api) -> None:
    content = bytes(range(256)) * 1000
    _, artifact = await artifact_of(api, content)
    assert (artifact["name"], artifact["attempt"], artifact["node"]) == ("model", 1, "node")
    response = await api.viewer.get(artifact["download_url"])
    assert response.status_code == 200
    assert hashlib.sha256(response.content).digest() == hashlib.sha256(content).digest()
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-disposition"] == 'attachment; filename="model.safetensors"'
    part = await api.viewer.get(artifact["download_url"], headers={"Range": "bytes=256-259"})
    assert (part.status_code, part.content) == (206, bytes(range(4)))


async def test_an_artifact_of_another_machine_names_its_node(api: Api) -> None:
    _, artifact = await artifact_of(api, None)
    refused = problem(await api.viewer.get(artifact["download_url"]), 404, "artifact-not-here")
    assert "'node'" in refused["detail"]


@pytest.mark.parametrize("path", ["../secret", "/etc/hostname", "link", "folder", "a/../../secret"])
async def test_nothing_outside_the_artifact_root_is_sent(
    api: Api, tmp_path: Path, path: str
) -> None:
    run_id, artifact = await artifact_of(api, b"weights")
    root = api.settings.artifacts_root
    (root.parent / "secret").write_text("secret")
    (root / "link").symlink_to(root.parent / "secret")
    (root / "folder").mkdir()
    async with api.database.session_scope() as session:
        await session.execute(
            update(Artifact).where(Artifact.id == UUID(artifact["id"])).values(path=path)
        )
    url = f"/v1/runs/{run_id}/artifacts/{artifact['id']}/content"
    problem(await api.viewer.get(url), 404, "artifact-not-here")


async def test_an_artifact_belongs_to_its_run(api: Api) -> None:
    _, artifact = await artifact_of(api, b"weights")
    async with api.database.session_scope() as session:
        other = await finished_run(session)
    url = f"/v1/runs/{other}/artifacts/{artifact['id']}/content"
    problem(await api.viewer.get(url), 404, "artifact-not-found")


async def test_a_price_tag_is_sent_as_it_was_issued(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await finished_run(session)
    response = await api.viewer.get(f"/v1/runs/{run_id}/price-tag")
    tag = response.json()
    assert response.headers["etag"].strip('"')
    assert tag["it_energy_kwh"]["value"] == pytest.approx(2400 / J_PER_KWH)
    assert [stage["kind"] for stage in tag["stages"]] == ["train", "evaluate"]
    first = await api.viewer.get(f"/v1/runs/{run_id}/price-tag", params={"version": 1})
    assert first.content == response.content
    refused = await api.viewer.get(f"/v1/runs/{run_id}/price-tag", params={"version": 2})
    assert "version 2" in problem(refused, 404, "price-tag-not-found")["detail"]


async def test_a_run_without_a_price_tag_says_why(api: Api) -> None:
    refused = await api.viewer.get(f"/v1/runs/{await api.post_run()}/price-tag")
    assert "when an attempt" in problem(refused, 404, "price-tag-not-found")["detail"]
