"""Forms of administrators: errors at their fields, what was typed stays, and 303 when done."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import httpx
import pytest
from markupsafe import escape

from app.services.people import users, web_sessions
from tests.support.api import Api, problem
from tests.support.site_admin import FACTOR, PRICE

OWN = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
CSV_HEAD = "price_id,provider,accelerator,amount,currency,kind,source,licence,valid_from\n"
GOOD = "a,cloud,H100,3.5,EUR,spot,list,own,2026-01-01T00:00Z\n"
BAD = "b,cloud,H100,much,EUR,spot,list,own,2026-01-01T00:00Z\n"


async def post(api: Api, path: str, form: dict[str, str], **more: Any) -> httpx.Response:
    return await api.admin.post(path, headers=OWN, data=form, **more)


async def get(api: Api, path: str) -> str:
    page = await api.admin.get(path, headers=OWN)
    assert page.status_code == 200, page.text
    return unescape(page.text)


def to(response: httpx.Response) -> str:
    """Where a form leads; there is no page with it."""
    assert response.status_code == 303, response.text
    return response.headers["location"]


def problems(page: httpx.Response, status: int = 422) -> list[tuple[str | None, str]]:
    """The summary of errors: the field that each links to, and its text."""
    assert page.status_code == status, page.text
    summary = page.text.partition('id="problems"')[2].partition("</div>")[0]
    items = re.findall(r'<li>(?:<a href="#field-([^"]+)">)?(.*?)(?:</a>)?</li>', summary)
    for field, _ in items:
        assert not field or f'id="field-{field}"' in page.text
    return [(field or None, unescape(text)) for field, text in items]


def value(page: httpx.Response, name: str) -> str:
    match = re.search(rf'name="{re.escape(name)}"[^>]*? value="([^"]*)"', page.text)
    assert match is not None, name
    return unescape(match[1])


async def user_named(api: Api, name: str) -> dict[str, Any]:
    users = (await api.admin.get("/v1/users")).json()["items"]
    return next(user for user in users if user["name"] == name)


def link_in(page: httpx.Response) -> str:
    """The path of the sign-in link that a page shows, whose text is its whole address."""
    assert page.status_code == 200, page.text
    (shown,) = re.findall(r'href="([./]*)(login/link/[^"]+)">([^<]+)</a>', page.text)
    assert shown[2] == f"http://pricetag.test/{shown[1]}"
    return f"/{shown[1]}"


async def test_a_new_user_gets_a_link_that_signs_in_once_and_another_on_request(api: Api) -> None:
    made = await post(api, "/admin/users", {"name": "Ada", "role": "member"})
    first = link_in(made)
    assert "It is shown only once" in made.text
    assert "<time datetime=" in made.text
    ada = await user_named(api, "Ada")
    page = await get(api, f"/admin/users/{ada['id']}")
    assert "Make a sign-in link" in page
    assert "login/link" not in page
    second = link_in(await post(api, f"/admin/users/{ada['id']}/sign-in-link", {}))
    assert second != first
    transport = httpx.ASGITransport(api.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://lab.test") as browser:
        for link in (first, second):
            signed_in = await browser.post(link, headers=OWN)
            assert signed_in.status_code == 303, signed_in.text
            assert (await browser.post(link, headers=OWN)).status_code == 404
        assert "Ada" in (await browser.get("/account", headers=OWN)).text
    log = await get(api, "/admin/audit?object_kind=sign_in_link")
    text = " ".join(re.sub(r"<[^>]+>", " ", log).split())
    assert text.count("a admin created a sign-in link of Ada") == 2
    assert first.rpartition("/")[2] not in log


async def test_who_sees_no_page_or_is_disabled_gets_no_link(api: Api) -> None:
    to(await post(api, "/admin/users", {"name": "meter", "role": "ingest"}))
    ingest = await user_named(api, "meter")
    assert "Make a sign-in link" not in await get(api, f"/admin/users/{ingest['id']}")
    await post(api, "/admin/users", {"name": "Ada", "role": "member"})
    path = f"/admin/users/{(await user_named(api, 'Ada'))['id']}"
    to(await post(api, f"{path}/disable", {}))
    assert "Make a sign-in link" not in await get(api, path)
    assert (await post(api, f"{path}/sign-in-link", {})).status_code == 409


async def test_the_api_makes_a_link_with_the_requested_lifetime(api: Api) -> None:
    await post(api, "/admin/users", {"name": "Ada", "role": "member"})
    path = f"/v1/users/{(await user_named(api, 'Ada'))['id']}/sign-in-links"
    before = datetime.now(UTC)
    made = await api.admin.post(path, json={"lifetime_h": 2})
    assert made.status_code == 201
    link = made.json()
    lasts = datetime.fromisoformat(link["expires_at"]) - before
    assert timedelta(hours=2) <= lasts < timedelta(hours=3)
    assert (link["user"], link["path"]) == ("Ada", f"/login/link/{link['code']}")
    for wrong in (0, 169, "2"):
        problem(await api.admin.post(path, json={"lifetime_h": wrong}), 422, "invalid-request")
    problem(await api.member.post(path, json={}), 403, "role-required")


async def test_a_user_is_created_changed_disabled_and_enabled(api: Api) -> None:
    form = {"name": "Ada <b>", "role": "member", "email": "ada@example.org"}
    identity = {"external_identity.issuer": "https://login.test", "external_identity.subject": "7"}
    made = await post(api, "/admin/users", form | identity)
    assert made.status_code == 200
    path = f"/admin/users/{(await user_named(api, 'Ada <b>'))['id']}"
    page = await get(api, path)
    assert "<bdi>Ada <b></bdi>" in page  # unescaped here
    assert 'value="https://login.test"' in page
    to(await post(api, path, {"name": "Ada", "role": "viewer"}))
    read = (await api.admin.get("/v1" + path.removeprefix("/admin"))).json()
    assert (read["name"], read["role"], read["email"]) == ("Ada", "viewer", "ada@example.org")
    assert "Disable Ada?" in await get(api, f"{path}/disable")
    to(await post(api, f"{path}/disable", {}))
    assert "disabled since" in await get(api, path)
    to(await post(api, f"{path}/enable", {}))
    assert "disabled since" not in await get(api, path)


async def test_errors_are_at_their_fields_and_what_was_typed_stays(api: Api) -> None:
    form = {"name": "Ada", "role": "member", "email": "nonsense"}
    page = await post(api, "/admin/users", form)
    assert problems(page) == [
        ("email", "Email: must be an e-mail address (such as ada@example.org).")
    ]
    assert value(page, "name") == "Ada"
    assert value(page, "email") == "nonsense"
    assert re.search(r'id="field-email"[^>]*aria-invalid="true"', page.text)
    assert re.search(r'aria-describedby="[^"]*problem-email"', page.text)
    page = await post(api, "/admin/users", {"name": "a member", "role": "member"})
    ((field, text),) = problems(page, 409)
    assert field == "name"
    assert "is in use" in text


async def test_the_last_administrator_stays_one(api: Api) -> None:
    me = (await api.admin.get("/v1/me")).json()["user"]["id"]
    for path, form in (
        (f"/admin/users/{me}/disable", {}),
        (f"/admin/users/{me}", {"role": "viewer"}),
    ):
        page = await post(api, path, form)
        ((_, text),) = problems(page, 409)
        assert "last administrator" in text
    token = (await api.admin.get("/v1/me")).json()["token"]["id"]
    refused = await post(api, f"/admin/tokens/{token}/revoke", {})
    assert refused.status_code == 409
    assert "last active admin token" in refused.text
    assert (await api.admin.get("/v1/me")).json()["role"] == "admin"


async def test_a_secret_is_shown_once_and_its_token_revoked_after_a_question(api: Api) -> None:
    form = {"name": "laptop", "user": "a member", "expires_at": "2999-03-01"}
    page = await post(api, "/admin/tokens", form)
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    match = re.search(r'<code id="secret">(pt_[^<]+)</code>', page.text)
    assert match is not None
    bearer = {"Authorization": f"Bearer {match[1]}"}
    mine = (await api.nobody.get("/v1/me", headers=bearer)).json()
    assert mine["token"]["expires_at"] == "2999-03-01T00:00:00Z"
    listed = await get(api, "/admin/tokens")
    assert match[1] not in listed
    path = f"/admin/tokens/{mine['token']['id']}/revoke"
    assert "Revoke the token laptop of a member?" in await get(api, path)
    to(await post(api, path, {}))
    problem(await api.nobody.get("/v1/me", headers=bearer), 401, "unauthenticated")
    assert "laptop" not in await get(api, "/admin/tokens")
    assert "revoked" in await get(api, "/admin/tokens?all=true")


async def test_a_token_beyond_its_user_is_an_error_of_its_role(api: Api) -> None:
    page = await post(api, "/admin/tokens", {"name": "t", "user": "a viewer", "role": "admin"})
    ((field, text),) = problems(page)
    assert field == "role"
    assert "has the role viewer" in text
    page = await post(api, "/admin/tokens", {"name": "t", "user": "nobody"})
    assert problems(page)[0][0] == "user"


async def test_a_factor_is_shown_with_its_effect_before_it_is_entered(api: Api) -> None:
    to(await post(api, "/admin/sites", {"name": "hall", "currency": "EUR", "time_zone": "UTC"}))
    page = await api.admin.get("/admin/factors/new", headers=OWN, params={**FACTOR, "site": "hall"})
    assert page.status_code == 200
    assert "What would change" in page.text
    assert (await api.admin.get("/v1/factors")).json()["items"] == []
    main = page.text.partition("<main")[2]
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', main))
    assert hidden["value"] == FACTOR["value"]
    form = {name: unescape(text) for name, text in hidden.items()}
    assert to(await post(api, "/admin/factors", form)) == "../admin/sites/hall"
    assert "energy report of hall 2" in await get(api, "/admin/sites/hall")
    wrong = await api.admin.get(
        "/admin/factors/new", headers=OWN, params={**FACTOR, "value": "0.5"}
    )
    ((field, _),) = problems(wrong)
    assert field == "value"
    assert value(wrong, "source") == FACTOR["source"]
    assert "What would change" not in wrong.text


async def test_a_site_is_changed_or_the_error_is_shown(api: Api) -> None:
    to(await post(api, "/admin/sites", {"name": "hall"}))
    page = await post(api, "/admin/sites/hall", {"grid_zone": "XX", "currency": "EUR"})
    assert problems(page)[0][0] == "grid_zone"
    to(await post(api, "/admin/sites/hall", {"grid_zone": "FR", "currency": "EUR"}))
    site = (await api.admin.get("/v1/sites/hall")).json()
    assert (site["grid_zone"], site["currency"]) == ("FRA", "EUR")


async def test_a_price_is_entered_and_an_owned_one_derived(api: Api) -> None:
    to(await post(api, "/admin/prices", PRICE))
    page = await post(api, "/admin/prices", PRICE)
    ((field, text),) = problems(page, 409)
    assert field == "valid_from"
    assert "overlaps" in text
    owned = {name: text for name, text in PRICE.items() if name != "amount"}
    owned |= {
        "price_id": "own",
        "kind": "internal",
        "ownership.capex": "35040",
        "ownership.lifetime_h": "35040",
        "ownership.utilisation_ratio": "0.5",
    }
    to(await post(api, "/admin/prices", owned))
    prices = (await api.admin.get("/v1/prices")).json()["items"]
    assert {price["price_id"]: float(price["amount"]) for price in prices} == {
        "cloud-h200": 3.35,
        "own": 2.0,
    }


async def test_a_file_is_imported_whole_or_not_at_all(api: Api) -> None:
    def upload(content: str) -> dict[str, Any]:
        return {"files": {"content": ("prices.csv", content.encode(), "text/csv")}}

    page = await post(
        api, "/admin/prices/import", {"format": "csv"}, **upload(CSV_HEAD + GOOD + BAD)
    )
    ((field, text),) = problems(page)
    assert field == "content-text"
    assert text.startswith("Line 3, amount:")
    assert BAD.strip() in page.text  # to be corrected
    assert (await api.admin.get("/v1/prices")).json()["items"] == []
    typed = {"files": {"content": ("", b"", "application/octet-stream")}}
    fixed = {"format": "csv", "content": CSV_HEAD + GOOD}
    to(await post(api, "/admin/prices/import", fixed, **typed))
    assert len((await api.admin.get("/v1/prices")).json()["items"]) == 1


async def test_hours_are_imported_with_errors_by_line_and_column(api: Api) -> None:
    form = {"zone": "DE", "basis": "lifecycle", "source": "s", "licence": "l"}
    head = "hour,g_per_kwh\n2026-03-01T12:00Z,231.5\n"

    def upload(content: str) -> dict[str, Any]:
        return {"files": {"content": ("hours.csv", content.encode("utf-8-sig"), "text/csv")}}

    wrong = await post(api, "/admin/carbon/import", form, **upload(head + "2026-03-01,x\n"))
    assert [text.partition(":")[0] for _, text in problems(wrong)] == [
        "Line 3, hour",
        "Line 3, g per kwh",
    ]
    assert value(wrong, "basis") == "lifecycle"
    to(await post(api, "/admin/carbon/import", form, **upload(head)))
    assert "231.5" not in await get(api, "/admin/carbon?zone=DE")
    (series,) = (await api.admin.get("/v1/carbon")).json()["items"]
    assert series["hours"] == 1
    refused = await post(
        api,
        "/admin/carbon/fetch",
        {"provider": "electricitymaps", "zone": "DE", "start": "2026-03-01", "end": "2026-03-02"},
    )
    ((field, text),) = problems(refused, 409)
    assert field == "provider"
    assert "PRICETAG_ELECTRICITY_MAPS_TOKEN" in text


async def test_the_log_is_shown_in_sentences_and_filtered(api: Api) -> None:
    await post(api, "/admin/users", {"name": "Ada", "role": "member"})
    user = await user_named(api, "Ada")
    to(await post(api, f"/admin/users/{user['id']}", {"name": "Ada", "role": "viewer"}))
    page = await get(api, f"/admin/audit?object_id={user['id']}&action=changed&actor=")
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "a admin changed the user Ada role member → became viewer" in text
    assert "created the user" not in text
    missing = await api.admin.get("/admin/audit?actor=nobody", headers=OWN)
    assert missing.status_code == 422
    assert "nobody" in missing.text


@pytest.mark.parametrize(
    ("path", "query", "wrong"),
    [
        (
            "/admin/audit",
            {"since": "yesterday", "until": "<b>", "action": "eaten", "actor": "nobody"},
            {"since", "until", "action", "actor"},
        ),
        ("/admin/factors", {"kind": "color"}, {"kind"}),
        ("/admin/prices", {"accelerator": "abacus"}, {"accelerator"}),
        ("/admin/carbon", {"zone": "Atlantis"}, {"zone"}),
    ],
)
async def test_wrong_filters_stay_in_the_form_with_all_errors_at_their_fields(
    api: Api, path: str, query: dict[str, str], wrong: set[str]
) -> None:
    shown = await api.admin.get(path, params=query, headers=OWN)
    assert shown.status_code == 422
    marked = set(re.findall(r'name="(\w+)"[^>]* aria-invalid="true"', shown.text))
    assert marked == wrong
    for name, text in query.items():
        assert f'id="problem-{name}"' in shown.text
        assert f'href="#field-{name}"' in shown.text
        assert str(escape(text)) in shown.text


async def test_the_session_of_anybody_can_be_ended(api: Api) -> None:
    async with api.database.session_scope() as session:
        user = await users.named(session, "a member")
        begun = await web_sessions.begin(session, user, "link", browser="Firefox/133.0 Linux")
    assert "Firefox 133 on Linux" in await get(api, "/admin/sessions")
    to(await post(api, f"/admin/sessions/{begun.id}/end", {}))
    assert "Firefox" not in await get(api, "/admin/sessions")


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
async def test_forms_of_other_sites_change_nothing(api: Api, site: str) -> None:
    headers = {"Accept": "text/html", "Sec-Fetch-Site": site}
    response = await api.admin.post("/admin/users", headers=headers, data={"name": "eve"})
    assert response.status_code == 403
    names = {one["name"] for one in (await api.admin.get("/v1/users")).json()["items"]}
    assert "eve" not in names
