"""Other factors make a new version; issued versions stay and can be recomputed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app.db import Session
from app.services.billing import issuing
from app.services.verification import checking
from models import Attempt, AuditEntry, Factor, Measurement, PriceTag, Reading, Run, Spend
from pricetag.accounting.document.canonical import (
    content_sha256,
    content_sha256_v1,
    content_sha256_v2,
)
from pricetag.accounting.document.versions import ACCOUNTING_VERSION
from tests.support.api import Api, finished_run, problem
from tests.support.executions import GPU, JournalMaker
from tests.support.packed import unpack

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def factor(kind: str, value: str, **more: Any) -> Factor:
    """A factor of the lab, entered now."""
    columns = {
        "kind": kind,
        "value": Decimal(value),
        "unit": "1" if kind == "pue" else "g/kWh",
        "relative_std_ratio": 0.03,
        "evidence": "estimated",
        "source": "the building's meter",
        "year": 2026,
        "basis": "annual",
        "licence": "own figure",
        "valid_from": LONG_AGO,
        **more,
    }
    return Factor(**columns)


async def a_run(api: Api, **values: Any) -> UUID:
    async with api.database.session_scope() as session:
        return await finished_run(session, **{"started_at": LONG_AGO, **values})


async def enter(api: Api, *factors: Factor) -> None:
    async with api.database.session_scope() as session:
        session.add_all(factors)


async def price_tag(api: Api, run_id: UUID, version: int | None = None) -> dict[str, Any]:
    query = {} if version is None else {"version": version}
    response = await api.viewer.get(f"/v1/runs/{run_id}/price-tag", params=query)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def verified(api: Api, run_id: UUID, version: int | None = None) -> dict[str, Any]:
    query = {} if version is None else {"version": version}
    response = await api.viewer.get(f"/v1/runs/{run_id}/price-tag/verification", params=query)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def steps(verification: dict[str, Any]) -> dict[str, str]:
    return {step["step"]: step["status"] for step in verification["steps"]}


OK = {"content-hash": "ok", "measurements": "ok", "arithmetic": "ok"}


async def test_a_new_factor_makes_a_new_version_and_keeps_the_old_one(api: Api) -> None:
    run_id = await a_run(api)
    issued = await price_tag(api, run_id)
    await enter(api, factor("pue", "1.25"))
    assert await price_tag(api, run_id) == issued
    response = await api.admin.post(f"/v1/runs/{run_id}/price-tag/reprice", json={})
    assert response.status_code == 201, response.text
    body = response.json()
    assert (body["version"], body["cause"], body["as_of"]) == (2, "repriced", None)
    second = await price_tag(api, run_id)
    assert second["pue"]["value"] == 1.25
    assert second["facility_energy_kwh"]["value"] == pytest.approx(
        second["it_energy_kwh"]["value"] * 1.25
    )
    assert second["it_energy_kwh"] == issued["it_energy_kwh"]
    assert await price_tag(api, run_id, 1) == issued
    for version in (1, 2):
        assert steps(await verified(api, run_id, version)) == OK


async def test_as_of_uses_the_factors_entered_by_then(api: Api) -> None:
    await enter(api, factor("pue", "1.25", created_at=datetime(2026, 2, 1, tzinfo=UTC)))
    run_id = await a_run(api)
    await enter(api, factor("pue", "1.10"))
    path = f"/v1/runs/{run_id}/price-tag/reprice"
    then = await api.admin.post(path, json={"as_of": "2026-02-02T00:00:00Z"})
    assert then.status_code == 201, then.text
    before = await api.admin.post(path, json={"as_of": "2026-01-01T00:00:00Z"})
    now = await api.admin.post(path, json={})
    versions = [response.json()["version"] for response in (then, before, now)]
    pues = [(await price_tag(api, run_id, v))["pue"]["value"] for v in (1, *versions)]
    assert pues == [1.25, 1.25, 1.54, 1.10]
    content = await price_tag(api, run_id, versions[0])
    assert content["provenance"]["as_of"] == "2026-02-02T00:00:00+00:00"
    for version in versions:
        assert steps(await verified(api, run_id, version)) == OK


@pytest.mark.parametrize(
    ("as_of", "message"),
    [(None, "when it was issued"), ("2026-02-02T23:59:59.5Z", "on 2026-02-02")],
)
async def test_a_report_states_that_its_price_tag_was_re_priced(
    api: Api, as_of: str | None, message: str
) -> None:
    run_id = await a_run(api)
    path = f"/v1/runs/{run_id}/price-tag/reprice"
    assert (await api.admin.post(path, json={"as_of": as_of})).status_code == 201
    made = await api.member.post("/v1/reports", json={"title": "t", "runs": [str(run_id)]})
    report = (await api.viewer.get(f"/v1/reports/{made.json()['id']}.md")).text
    assert report.count(f"re-priced with the factors known {message}") == 2
    assert "version 2 of its price tag" in report


async def test_a_run_is_not_priced_as_of_a_time_before_it_started(api: Api) -> None:
    """Neither a day, a month nor an instant before; from its start on, it is."""
    start = datetime(2026, 3, 1, 12, tzinfo=UTC)
    run_id = await a_run(api, started_at=start)
    path = f"/v1/runs/{run_id}/price-tag/reprice"
    for earlier in (timedelta(days=1), timedelta(days=40), timedelta(microseconds=1)):
        as_of = (start - earlier).isoformat()
        rejected = problem(
            await api.admin.post(path, json={"as_of": as_of}), 409, "run-started-later"
        )
        assert "The run started on 2026-03-01T12:00:00Z" in rejected["detail"]
        assert "2026-03-01 is the first possible day" in rejected["detail"]
    assert (await price_tag(api, run_id))["version"] == 1
    for later in ("2026-03-01T13:00:00+01:00", "2026-03-01T23:59:59.999999Z"):
        assert (await api.admin.post(path, json={"as_of": later})).status_code == 201


async def test_all_versions_are_listed_with_their_totals(api: Api) -> None:
    run_id = await a_run(api)
    await api.admin.post(
        f"/v1/runs/{run_id}/price-tag/reprice", json={"as_of": "2026-01-01T00:00:00Z"}
    )
    items = (await api.viewer.get(f"/v1/runs/{run_id}/price-tags")).json()["items"]
    assert [(i["version"], i["cause"]) for i in items] == [(2, "repriced"), (1, "attempt-ended")]
    assert items[0]["as_of"] == "2026-01-01T00:00:00Z"
    assert items[1]["as_of"] is None
    for item in items:
        tag = await price_tag(api, run_id, item["version"])
        assert item["content_sha256"] == tag["content_sha256"]
        assert item["co2e_kg"]["value"] == tag["co2e_kg"]["value"]
        assert item["cost"]["reason"] == tag["cost"]["total"]["reason"]
    problem(await api.viewer.get(f"/v1/runs/{UUID(int=7)}/price-tags"), 404, "run-not-found")


async def test_only_permitted_users_can_re_price(api: Api) -> None:
    stranger = await a_run(api)
    path = f"/v1/runs/{stranger}/price-tag/reprice"
    problem(await api.viewer.post(path, json={}), 403, "role-required")
    problem(await api.member.post(path, json={}), 403, "not-your-run")
    me = (await api.member.get("/v1/me")).json()
    member, token = UUID(me["user"]["id"]), UUID(me["token"]["id"])
    own = await a_run(api, created_by=member)
    response = await api.member.post(f"/v1/runs/{own}/price-tag/reprice", json={})
    assert response.status_code == 201, response.text
    async with api.database.session_scope() as session:
        entry = (
            await session.execute(select(AuditEntry).where(AuditEntry.action == "repriced"))
        ).scalar_one()
    assert (entry.object_kind, entry.object_id) == ("run", str(own))
    assert (entry.user_id, entry.token_id, entry.actor) == (member, token, "a member")
    assert entry.before == {"price_tag_version": 1}
    assert entry.after == {"price_tag_version": 2, "as_of": None}


async def test_runs_that_cannot_be_re_priced_are_rejected_with_a_reason(api: Api) -> None:
    run_id = await a_run(api)
    path = f"/v1/runs/{run_id}/price-tag/reprice"
    ahead = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    refused = problem(await api.admin.post(path, json={"as_of": ahead}), 422, "as-of-in-the-future")
    assert refused["errors"][0]["field"] == "as_of"
    assert "is in the future" in refused["errors"][0]["message"]
    wrong = await api.admin.post(path, json={"as_of": "yesterday"})
    assert "as_of" in problem(wrong, 422, "invalid-request")["errors"][0]["field"]
    waiting = await api.post_run()
    problem(
        await api.admin.post(f"/v1/runs/{waiting}/price-tag/reprice", json={}),
        404,
        "price-tag-not-found",
    )
    problem(
        await api.admin.post(f"/v1/runs/{UUID(int=7)}/price-tag/reprice", json={}),
        404,
        "run-not-found",
    )


async def test_budgets_follow_only_re_pricings_with_todays_factors(api: Api) -> None:
    run_id = await a_run(api)

    async def spent() -> tuple[int, float | None]:
        async with api.database.session_scope() as session:
            row = (await session.execute(select(Spend).where(Spend.run_id == run_id))).scalar_one()
            return row.price_tag_version, row.facility_energy_kwh

    first = await spent()
    await enter(api, factor("pue", "3"))
    path = f"/v1/runs/{run_id}/price-tag/reprice"
    await api.admin.post(path, json={"as_of": "2026-01-01T00:00:00Z"})
    assert await spent() == first
    await api.admin.post(path, json={})
    version, facility_kwh = await spent()
    assert version == 3
    assert facility_kwh == pytest.approx(3 * 2400 / 3.6e6)


async def test_the_response_has_its_hash(api: Api) -> None:
    run_id = await a_run(api)
    response = await api.viewer.get(f"/v1/runs/{run_id}/price-tag")
    content = response.json()
    declared = content.pop("content_sha256")
    assert response.headers["ETag"] == f'"{declared}"'
    assert content_sha256(content) == declared


async def test_a_fresh_price_tag_is_verified_digit_for_digit(api: Api) -> None:
    run_id = await a_run(api)
    verification = await verified(api, run_id)
    assert verification["outcome"] == "verified"
    assert steps(verification) == OK
    details = {step["step"]: step["detail"] for step in verification["steps"]}
    assert details["measurements"] == "6 measurements of 1 attempt follow from their readings"


async def change(api: Api, statement: Any) -> None:
    async with api.database.session_scope() as session:
        await session.execute(statement)


async def test_changed_content_is_detected(api: Api) -> None:
    run_id = await a_run(api)
    async with api.database.session_scope() as session:
        tag = (await session.execute(select(PriceTag))).scalar_one()
        tag.content = {**tag.content, "co2e_kg": {**tag.content["co2e_kg"], "value": 1e-9}}
    verification = await verified(api, run_id)
    assert verification["outcome"] == "differs"
    assert steps(verification) == {**OK, "content-hash": "differs", "arithmetic": "differs"}
    assert verification["steps"][2]["detail"].startswith("co2e_kg.value: 1e-09 and ")
    async with api.database.session_scope() as session:
        tag = (await session.execute(select(PriceTag))).scalar_one()
        tag.content_sha256 = content_sha256(tag.content)
    assert steps(await verified(api, run_id)) == {**OK, "arithmetic": "differs"}


async def test_a_changed_measurement_is_detected(api: Api) -> None:
    run_id = await a_run(api)
    await change(
        api,
        update(Measurement)
        .where(Measurement.component == GPU, Measurement.stage_key == "")
        .values(energy_j=1601.0),
    )
    verification = await verified(api, run_id)
    assert steps(verification)["measurements"] == "differs"
    assert (
        f"{GPU} over the whole attempt, energy_j: 1601.0 and 1600.0"
        in verification["steps"][1]["detail"]
    )
    assert steps(verification)["arithmetic"] == "differs"


async def test_a_changed_reading_is_detected(api: Api) -> None:
    run_id = await a_run(api)
    async with api.database.session_scope() as session:
        (attempt_id,) = (await session.execute(select(Attempt.id))).scalars()
        await unpack(session, attempt_id)
    await change(
        api,
        update(Reading)
        .where(Reading.component == GPU, Reading.t_s == 16.0)
        .values(counter_j=Reading.counter_j + 1),
    )
    verification = await verified(api, run_id)
    assert steps(verification) == {**OK, "measurements": "differs"}


async def test_a_changed_name_of_the_run_is_detected(api: Api) -> None:
    run_id = await a_run(api)
    await change(api, update(Run).where(Run.id == run_id).values(name="another"))
    assert "name: 'run' and 'another'" in (await verified(api, run_id))["steps"][2]["detail"]


async def test_an_older_accounting_version_is_reported_and_its_hash_is_checked(api: Api) -> None:
    run_id = await a_run(api)
    async with api.database.session_scope() as session:
        content = (await session.execute(select(PriceTag.content))).scalar_one()
    old = content_sha256_v2(content)
    await change(api, update(PriceTag).values(accounting_version="2", content_sha256=old))
    verification = await verified(api, run_id)
    assert verification["outcome"] == "not-fully-checked"
    assert steps(verification) == {**OK, "arithmetic": "not-checked"}
    assert "version 2 of the accounting" in verification["steps"][2]["detail"]


async def a_run_of_version_3(api: Api, monkeypatch: pytest.MonkeyPatch) -> UUID:
    with monkeypatch.context() as earlier:
        earlier.setattr(issuing, "ACCOUNTING_VERSION", "3")
        return await a_run(api)


def accounting_version(tag: dict[str, Any]) -> str:
    return str(tag["provenance"]["accounting_version"])


async def test_a_price_tag_of_version_3_is_recomputed_under_its_own_rules(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await a_run_of_version_3(api, monkeypatch)
    issued = await price_tag(api, run_id)
    assert accounting_version(issued) == "3"
    assert all("error" not in component for component in issued["components"])
    verification = await verified(api, run_id)
    assert verification["outcome"] == "verified"
    assert steps(verification) == OK


async def test_a_re_pricing_keeps_the_rules_and_repeats_every_digit(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await a_run_of_version_3(api, monkeypatch)
    issued = await price_tag(api, run_id)
    response = await api.admin.post(f"/v1/runs/{run_id}/price-tag/reprice", json={})
    assert response.status_code == 201, response.text
    again = await price_tag(api, run_id)
    assert (again.pop("version"), issued.pop("version")) == (2, 1)
    assert again.pop("content_sha256") != issued.pop("content_sha256")
    assert again == issued
    assert (await verified(api, run_id, 2))["outcome"] == "verified"


async def test_new_price_tags_are_of_the_newest_version(api: Api) -> None:
    run_id = await a_run(api)
    issued = await price_tag(api, run_id)
    assert accounting_version(issued) == ACCOUNTING_VERSION
    assert all(component["error"]["gain_group"] for component in issued["components"])


async def test_late_readings_are_reported(committed_api: Api) -> None:
    """Version 1 rests on what was there when the worker was given up."""
    from app.services.attempts import execution
    from tests.support.executions import claimed, make_run

    async with committed_api.database.session_scope() as session:
        run = await make_run(session, max_attempts=1)
        run_id = run.id
        claim = await claimed(session, run_id)
        journal = JournalMaker(claim.attempt_id)
        journal.whole()
        cut = len(journal.records) // 2
        await execution.ingest(session, claim.attempt_id, journal.records[:cut])
        await give_up(session, claim.attempt_id)
    assert steps(await verified(committed_api, run_id, 1)) == OK
    async with committed_api.database.session_scope() as session:
        await execution.ingest(session, claim.attempt_id, journal.records[cut:])
    assert steps(await verified(committed_api, run_id, 2)) == OK
    first = await verified(committed_api, run_id, 1)
    assert first["outcome"] == "not-fully-checked"
    assert "version 2 has them" in first["steps"][2]["detail"]
    items = (await committed_api.viewer.get(f"/v1/runs/{run_id}/price-tags")).json()["items"]
    assert items[0]["cause"] == "journal-came-late"


async def give_up(session: Session, attempt_id: UUID) -> None:
    from app.repositories.attempts import executions as rows
    from app.services.attempts import settlement

    attempt = await session.get_one(Attempt, attempt_id)
    run = await rows.lock_run(session, attempt.run_id)
    assert run is not None
    await settlement.close_attempt(
        session,
        attempt,
        run,
        status="lost",
        reason={"code": "worker-lost", "message": "its lease ran out"},
        end_s=6.0,
        at=datetime.now(UTC),
    )


def test_the_hash_of_the_first_accounting_is_known() -> None:
    content = {"flops": 1.0, "name": "é"}
    old = PriceTag(
        accounting_version="1", content=content, content_sha256=content_sha256_v1(content)
    )
    assert content_sha256_v1(content) != content_sha256(content)
    assert checking.check_hash(old).status == "ok"
    new = PriceTag(
        accounting_version="2", content=content, content_sha256=content_sha256_v1(content)
    )
    assert checking.check_hash(new).status == "differs"
