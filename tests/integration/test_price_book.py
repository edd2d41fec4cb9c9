"""The price book: rows follow one another, are corrected and never changed."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from models import Node
from tests.support.api import Api, fields, problem
from tests.support.entries import posted, price

HEAD = "price_id,provider,accelerator,amount,currency,kind,valid_from,valid_to,source,licence\n"


def row(price_id: str, amount: str, begins: str, ends: str = "") -> str:
    return f"{price_id},a cloud,H200,{amount},USD,spot,{begins},{ends},list,quoted\n"


def at(year: int) -> str:
    return f"{year}-01-01T00:00:00Z"


async def book(api: Api, **params: Any) -> list[dict[str, Any]]:
    document = (await api.viewer.get("/v1/prices", params=params)).json()
    return list(document["items"])


async def test_amounts_are_decimal_to_the_digit(api: Api) -> None:
    made = await posted(api, "/v1/prices", price("a", "0.100000000000010"))
    assert made["amount"] == "0.100000000000010"
    assert (await book(api))[0]["amount"] == "0.100000000000010"


async def test_rows_of_one_id_follow_one_another(api: Api) -> None:
    for year, amount in ((2024, "3"), (2026, "1"), (2025, "2")):
        await posted(api, "/v1/prices", price("a", amount, valid_from=at(year)))
    assert [item["amount"] for item in await book(api)] == ["2", "1", "3"]
    assert [item["amount"] for item in await book(api, accelerator="h200")] == ["2", "1", "3"]
    assert await book(api, accelerator="H100") == []


@pytest.mark.parametrize(
    ("begins", "ends"),
    [(2024, None), (2024, 2025), (2025, None), (2023, 2025), (2020, 2030)],
)
async def test_two_prices_valid_at_once_are_rejected(
    api: Api, begins: int, ends: int | None
) -> None:
    span = {"valid_from": at(2024), "valid_to": at(2026)}
    await posted(api, "/v1/prices", price("a", "3", **span))
    more = {"valid_from": at(begins), "valid_to": at(ends) if ends else None}
    refused = await api.admin.post("/v1/prices", json=price("a", "2", **more))
    details = problem(refused, 409, "overlapping-price")
    assert "3 USD from 2024-01-01" in details["detail"]
    assert len(await book(api)) == 1
    await posted(api, "/v1/prices", price("b", "2", **more))


@pytest.mark.parametrize(("begins", "ends"), [(2026, None), (2022, 2024)])
async def test_a_price_that_ends_makes_room_for_another(
    api: Api, begins: int, ends: int | None
) -> None:
    span = {"valid_from": at(2024), "valid_to": at(2026)}
    await posted(api, "/v1/prices", price("a", "3", **span))
    more = {"valid_from": at(begins), "valid_to": at(ends) if ends else None}
    await posted(api, "/v1/prices", price("a", "2", **more))


async def test_a_price_row_is_valid_until_its_successor_begins(api: Api) -> None:
    first = await posted(api, "/v1/prices", price("a", "3", valid_from=at(2024)))
    assert first["holds_until"] is None
    second = await posted(api, "/v1/prices", price("a", "2", valid_from=at(2026)))
    wrong = await posted(api, "/v1/prices", price("a", "9", valid_from=at(2025)))
    await posted(api, "/v1/prices", price("a", "1", valid_from=at(2025), replaces=wrong["id"]))
    await posted(api, "/v1/prices", price("b", "5", valid_from=at(2024), valid_to=at(2027)))
    ends = {item["amount"]: (item["holds_until"], item["valid_to"]) for item in await book(api)}
    assert ends == {
        "5": (at(2027), at(2027)),
        "1": (at(2026), None),
        "9": (None, None),
        "2": (None, None),
        "3": (at(2025), None),
    }
    assert second["holds_until"] is None


async def test_a_file_s_rows_end_where_the_next_begins(api: Api) -> None:
    content = HEAD + row("a", "3", "2024-01-01") + row("a", "2", "2025-01-01")
    made = await posted(api, "/v1/prices/import", {"format": "csv", "content": content})
    assert [item["holds_until"] for item in made["items"]] == [at(2025), None]


async def test_a_wrong_row_is_replaced_and_kept(api: Api) -> None:
    wrong = await posted(api, "/v1/prices", price("a", "30"))
    right = await posted(api, "/v1/prices", price("a", "3.0", replaces=wrong["id"]))
    assert [(i["amount"], i["replaced"]) for i in await book(api)] == [("3.0", False), ("30", True)]
    again = await api.admin.post("/v1/prices", json=price("a", "4", replaces=wrong["id"]))
    details = problem(again, 422, "invalid-price")
    assert (fields(details), "was already replaced" in details["detail"]) == (["replaces"], True)
    other = await api.admin.post("/v1/prices", json=price("b", "4", replaces=right["id"]))
    problem(other, 422, "invalid-price")
    nobody = await api.admin.post("/v1/prices", json=price("a", "4", replaces=str(uuid4())))
    problem(nobody, 422, "invalid-price")
    clash = await api.admin.post("/v1/prices", json=price("a", "4"))
    problem(clash, 409, "overlapping-price")


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"amount": "-0.01"}, "invalid-request", "amount"),
        ({"amount": "NaN"}, "invalid-request", "amount"),
        ({"amount": "1e10"}, "invalid-request", "amount"),
        ({"amount": None}, "invalid-price", "amount"),
        ({"currency": "usd"}, "invalid-request", "currency"),
        ({"kind": "free"}, "invalid-request", "kind"),
        ({"unit": "gpu_second"}, "invalid-request", "unit"),
        ({"valid_from": "2026-01-01T00:00:00"}, "invalid-request", "valid_from"),
        ({"valid_to": "2020-01-01T00:00:00Z"}, "invalid-price", "valid_to"),
        ({"valid_from": "1900-01-01T00:00:00Z"}, "invalid-price", "valid_from"),
        (
            {"ownership": {"capex": 1, "lifetime_h": 1, "utilisation_ratio": 1}},
            *("invalid-price", "ownership"),
        ),
        (
            {"ownership": {"capex": 1, "lifetime_h": 0, "utilisation_ratio": 1}},
            *("invalid-request", "ownership.lifetime_h"),
        ),
        ({"source": ""}, "invalid-request", "source"),
        ({"source": " "}, "invalid-request", "source"),
        ({"licence": " "}, "invalid-request", "licence"),
        ({"provider": " "}, "invalid-request", "provider"),
        ({"accelerator": " "}, "invalid-request", "accelerator"),
        ({"amount": "1_0"}, "invalid-request", "amount"),
        ({"amount": "\u0661"}, "invalid-request", "amount"),
    ],
)
async def test_an_invalid_price_is_rejected(
    api: Api, changes: dict[str, Any], code: str, field: str
) -> None:
    refused = await api.admin.post("/v1/prices", json={**price("a", "2"), **changes})
    assert fields(problem(refused, 422, code)) == [field]


async def test_owned_hardware_has_one_amount(api: Api) -> None:
    owned = {"capex": "28000", "lifetime_h": 35040, "utilisation_ratio": "0.7"}
    body = price("own", "1.10", kind="internal", ownership=owned)
    refused = problem(await api.admin.post("/v1/prices", json=body), 422, "invalid-price")
    assert fields(refused) == ["amount"]


async def test_a_file_of_prices_is_entered_as_a_whole(api: Api) -> None:
    content = (
        HEAD
        + row("a", "3", "2024-01-01")
        + row("a", "2", "2025-01-01")
        + row("b", "1", "2024-01-01")
    )
    made = await posted(api, "/v1/prices/import", {"format": "csv", "content": content})
    assert [item["amount"] for item in made["items"]] == ["3", "2", "1"]
    log = (await api.admin.get("/v1/audit", params={"object_kind": "price"})).json()["items"]
    assert [entry["action"] for entry in log] == ["imported"] * 3
    assert {entry["object_id"] for entry in log} == {item["id"] for item in made["items"]}


@pytest.mark.parametrize(
    ("last", "status", "code", "field"),
    [
        (row("b", "-1", "2024-01-01"), 422, "malformed-file", "line 3, amount"),
        (row("b", "1", "2024-01-01", "2023-01-01"), 422, "invalid-price", "line 3, valid_to"),
        (row("a", "1", "2024-01-01"), 409, "overlapping-price", "line 3, valid_from"),
        (row("old", "1", "2024-01-01"), 409, "overlapping-price", "line 3, valid_from"),
    ],
)
async def test_a_file_with_an_invalid_row_is_not_entered(
    api: Api, last: str, status: int, code: str, field: str
) -> None:
    await posted(api, "/v1/prices", price("old", "9", valid_from=at(2024)))
    content = HEAD + row("a", "3", "2024-01-01") + last
    refused = await api.admin.post("/v1/prices/import", json={"format": "csv", "content": content})
    assert fields(problem(refused, status, code)) == [field]
    assert [item["price_id"] for item in await book(api)] == ["old"]


async def test_an_overlap_within_a_file_names_its_line(api: Api) -> None:
    kept = await posted(api, "/v1/prices", price("old", "9", valid_from=at(2024)))
    import_ = "/v1/prices/import"
    within = HEAD + row("a", "3", "2024-01-01") + "\n" + row("a", "1", "2024-01-01")
    refused = await api.admin.post(import_, json={"format": "csv", "content": within})
    detail = problem(refused, 409, "overlapping-price")["detail"]
    assert detail.startswith("line 4: 'a' from 2024-01-01")
    assert "3 USD from 2024-01-01T00:00:00+00:00 (line 2 of the file); begin later" in detail
    assert "drop one of the two" in detail
    assert "replace" not in detail
    beside = HEAD + row("a", "3", "2024-01-01") + row("old", "1", "2024-01-01")
    refused = await api.admin.post(import_, json={"format": "csv", "content": beside})
    detail = problem(refused, 409, "overlapping-price")["detail"]
    assert f"(id {kept['id']}); begin later, end earlier, or replace that price" in detail


OWNED = {"capex": "28000", "lifetime_h": "35040", "utilisation_ratio": "0.7"}


async def test_owned_hardware_that_no_node_has_gives_a_warning(api: Api) -> None:
    owned = {"kind": "internal", "ownership": OWNED}
    before = await posted(api, "/v1/prices", price("early", None, **owned))
    assert "no node has reported one yet" in before["warnings"][0]
    async with api.database.session_scope() as session:
        card = {"uuid": "GPU-1", "name": "NVIDIA H200"}
        session.add(Node(name="n", pool="gpus", devices=[card], capabilities={}))
    fitting = await posted(api, "/v1/prices", price("card", None, **owned))
    assert fitting["warnings"] == []
    cpu = await posted(api, "/v1/prices", price("cpu", None, **owned, accelerator="EPYC"))
    (warning,) = cpu["warnings"]
    assert "no node has an accelerator with 'EPYC'" in warning
    assert "known accelerators: NVIDIA H200" in warning
    cloud = await posted(api, "/v1/prices", price("cloud", "3", accelerator="B200"))
    assert cloud["warnings"] == []
    file = (
        "price_id,provider,accelerator,currency,kind,valid_from,source,licence,"
        "capex,lifetime_h,utilisation_ratio\n"
        "in-file,lab,EPYC,USD,internal,2026-01-01,invoice,own,9000,35040,0.7\n"
    )
    made = await posted(api, "/v1/prices/import", {"format": "csv", "content": file})
    assert "an accelerator with 'EPYC'" in made["items"][0]["warnings"][0]


async def test_two_overlapping_prices_at_once_leave_one(committed_api: Api) -> None:
    answers = await asyncio.gather(
        *(
            committed_api.admin.post("/v1/prices", json=price("a", str(amount)))
            for amount in range(1, 5)
        )
    )
    assert sorted(response.status_code for response in answers) == [201, 409, 409, 409]
    assert len(await book(committed_api)) == 1


async def test_prices_are_listed_in_pages(api: Api) -> None:
    for number in range(5):
        await posted(api, "/v1/prices", price(f"p{number}", "1"))
    page = (await api.viewer.get("/v1/prices", params={"limit": 2})).json()
    seen = [item["price_id"] for item in page["items"]]
    while page["next_cursor"]:
        asked = {"limit": 2, "cursor": page["next_cursor"]}
        page = (await api.viewer.get("/v1/prices", params=asked)).json()
        seen += [item["price_id"] for item in page["items"]]
    assert seen == ["p4", "p3", "p2", "p1", "p0"]
    wrong = await api.viewer.get("/v1/factors", params={"cursor": asked["cursor"]})
    problem(wrong, 422, "invalid-cursor")
