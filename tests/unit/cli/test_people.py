"""Commands about people: what they send, and what they show."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pricetag.cli.app import run as pricetag
from pricetag.cli.lifetimes import InvalidLifetimeError, end_of
from tests.support.fake_api import Answer, FakeApi
from tests.support.fake_api import problem as refused

Captured = pytest.CaptureFixture[str]
ADA, EVE = (f"6f0c0d0e-0000-4000-8000-00000000000{number}" for number in (1, 2))
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def user(name: str = "ada", **changes: Any) -> dict[str, Any]:
    """A user as the API shows it."""
    shown = {"id": ADA, "name": name, "role": "member", "email": None, "disabled_at": None}
    return shown | changes


def me(**changes: Any) -> dict[str, Any]:
    token = {"id": EVE, "name": "laptop", "project": None, "expires_at": None}
    return {"user": user(), "role": "admin", "token": token, "projects": []} | changes


def sent(api: FakeApi) -> Any:
    """The body of the last request."""
    return json.loads(api.asked[-1].body)


@pytest.fixture
def users(api: FakeApi) -> FakeApi:
    """An API whose caller is ada, an administrator, beside eve."""
    eve = user("eve", id=EVE, email="eve@example.org", disabled_at="2026-11-20T10:11:12Z")
    api.answers["GET /v1/me"] = Answer(me())
    api.answers["GET /v1/users"] = Answer({"items": [user(), eve], "next_cursor": None})
    return api


def test_whoami_shows_user_token_and_projects(api: FakeApi, capsys: Captured) -> None:
    token = {"id": EVE, "name": "laptop", "project": "text", "expires_at": "2027-01-01T00:00:00Z"}
    projects = [{"project": "text", "role": "owner"}]
    api.answers["GET /v1/me"] = Answer(me(role="viewer", token=token, projects=projects))
    assert pricetag(["whoami"]) == 0
    assert capsys.readouterr().out == (
        "ada, viewer\n"
        "token: laptop, only project text, expires 2027-01-01 00:00 UTC\n"
        "project: text (owner)\n"
    )
    assert pricetag(["whoami", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["token"] == token


def test_a_sign_in_link_is_printed_with_its_expiry(users: FakeApi, capsys: Captured) -> None:
    link = {
        **{"user": "eve", "code": "c0de", "path": "/login/link/c0de"},
        "expires_at": "2026-11-30T12:00:00Z",
    }
    users.answers[f"POST /v1/users/{EVE}/sign-in-links"] = Answer(link, status=201)
    assert pricetag(["user", "sign-in-link", "eve", "--lifetime-h", "2"]) == 0
    assert sent(users) == {"lifetime_h": 2}
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].endswith("/login/link/c0de")
    assert printed[0].startswith("http")
    assert printed[1] == "signs in as eve, once, until 2026-11-30 12:00 UTC"
    assert pricetag(["user", "sign-in-link", "eve", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["url"] == printed[0]
    assert pricetag(["user", "sign-in-link", "eve", "--lifetime-h", "0"]) == 2


def test_users_are_created_and_listed(users: FakeApi, capsys: Captured) -> None:
    users.answers["POST /v1/users"] = Answer(user(email="a@b.org"), 201)
    command = ["user", "create", "ada", "--role", "member", "--email", "a@b.org"]
    assert pricetag(command) == 0
    assert sent(users) == {"name": "ada", "role": "member", "email": "a@b.org"}
    assert capsys.readouterr().out == f"ada: member, active, a@b.org, ID {ADA}\n"
    assert pricetag(["user", "list"]) == 0
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["User", "Role", "State", "E-mail", "ID"]
    assert [row.split() for row in rows] == [
        ["ada", "member", "active", ADA],
        ["eve", "member", "disabled", "eve@example.o…", EVE],
    ]


@pytest.mark.parametrize(
    ("command", "body"),
    [
        (["disable"], {"disabled": True}),
        (["enable"], {"disabled": False}),
        (["role", "viewer"], {"role": "viewer"}),
    ],
)
@pytest.mark.parametrize("named", ["eve", EVE])
def test_a_user_is_changed_by_name_or_id(
    users: FakeApi, command: list[str], body: dict[str, Any], named: str
) -> None:
    users.answers[f"PATCH /v1/users/{EVE}"] = Answer(user("eve", id=EVE))
    assert pricetag(["user", command[0], named, *command[1:]]) == 0
    assert sent(users) == body


def test_an_unknown_user_is_named_in_the_error(users: FakeApi, capsys: Captured) -> None:
    assert pricetag(["user", "disable", "nobody"]) == 1
    assert "user 'nobody' not found" in capsys.readouterr().err
    users.answers["GET /v1/me"] = Answer(me(role="member"))
    assert pricetag(["user", "tokens", "eve"]) == 1
    assert "only an administrator may look up the user 'eve'" in capsys.readouterr().err


def test_tokens_of_a_user_are_created_listed_and_revoked(users: FakeApi, capsys: Captured) -> None:
    users.answers["GET /v1/me"] = Answer(me(role="member"))  # one's own need no administrator
    token = {
        "id": EVE,
        "name": "ada",
        "role": "ingest",
        "project": "text",
        "expires_at": "2027-01-01T00:00:00Z",
        "revoked_at": None,
        "in_force": True,
    }
    path = f"/v1/users/{ADA}/tokens"
    users.answers[f"POST {path}"] = Answer({**token, "secret": "pt_x"}, 201)
    options = ["--expires", "2027-01-01", "--project", "text", "--role", "ingest"]
    assert pricetag(["user", "add-token", "ada", *options]) == 0
    assert capsys.readouterr().out == "pt_x\n"
    assert sent(users) == {
        "name": "ada",
        "role": "ingest",
        "project": "text",
        "expires_at": "2027-01-01T00:00:00+00:00",
    }
    users.answers[f"GET {path}"] = Answer({"items": [token]})
    assert pricetag(["user", "tokens", "ada"]) == 0
    assert " ".join(capsys.readouterr().out.split()) == (
        f"Token: ada Role: ingest State: active Expires: 2027-01-01 Only project: text ID: {EVE}"
    )
    users.answers[f"GET {path}"] = Answer({"items": [{**token, "project": None}]})
    assert pricetag(["user", "tokens", "ada"]) == 0
    head, _, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["Token", "Role", "State", "Expires", "ID"]
    assert row.split() == ["ada", "ingest", "active", "2027-01-01", EVE]
    users.answers[f"DELETE {path}/{EVE}"] = Answer(token)
    assert pricetag(["user", "revoke-token", "ada", EVE]) == 0
    assert capsys.readouterr().out == "'ada' is revoked\n"
    assert pricetag(["user", "add-token", "ada", "--expires", "soon"]) == 2
    assert "--expires: 'soon' is neither a lifetime such as 12h" in capsys.readouterr().err


def test_members_of_projects_are_added_and_removed(api: FakeApi, capsys: Captured) -> None:
    project = {"name": "a/b", "visibility": "private", "experiments": 1, "runs": 2}
    member = {"user": "eve", "user_id": EVE, "role": "owner"}
    # A name with a slash is one part of the path.
    api.answers["GET /v1/projects/a%2Fb"] = Answer(project)
    api.answers["PATCH /v1/projects/a%2Fb"] = Answer(project)
    api.answers["GET /v1/projects/a%2Fb/members"] = Answer({"items": [member]})
    api.answers["POST /v1/projects/a%2Fb/members"] = Answer(member, 201)
    api.answers["DELETE /v1/projects/a%2Fb/members/eve"] = Answer(member)
    line = "a/b: private, 1 experiment, 2 runs\n"
    assert pricetag(["project", "show", "a/b"]) == 0
    assert capsys.readouterr().out == line
    for visibility in ("private", "open"):
        assert pricetag(["project", visibility, "a/b"]) == 0
        assert sent(api) == {"visibility": visibility}
    capsys.readouterr()
    assert pricetag(["project", "members", "a/b"]) == 0
    head, _, row = capsys.readouterr().out.splitlines()
    assert (head.split(), row.split()) == (["User", "Role"], ["eve", "owner"])
    assert pricetag(["project", "add-member", "a/b", "eve", "--role", "owner"]) == 0
    assert sent(api) == {"user": "eve", "role": "owner"}
    assert capsys.readouterr().out == "eve: owner\n"
    assert pricetag(["project", "remove-member", "a/b", "eve"]) == 0
    assert capsys.readouterr().out == "'eve' is no longer a member of 'a/b'\n"


def test_a_rejection_by_the_server_names_the_field(api: FakeApi, capsys: Captured) -> None:
    api.answers["POST /v1/projects/p/members"] = refused(
        422, "unknown-user", "User 'x' not found.", {"field": "user", "message": "unknown"}
    )
    assert pricetag(["project", "add-member", "p", "x"]) == 2
    assert "USER: unknown" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("12h", "2026-11-30T00:00:00+00:00"),
        ("90d", "2027-02-27T12:00:00+00:00"),
        ("8w", "2027-01-24T12:00:00+00:00"),
        ("2027-01-31", "2027-01-31T00:00:00+00:00"),
        ("2027-01-31T10:00:00+02:00", "2027-01-31T10:00:00+02:00"),
    ],
)
def test_ends_of_tokens_are_parsed(text: str, end: str) -> None:
    assert end_of(text, NOW).isoformat() == end


@pytest.mark.parametrize("text", ["", "90", "d", "0d", "-1d", "1.5d", "90 d", "1y", "999999w", "x"])
def test_invalid_ends_of_tokens_are_rejected(text: str) -> None:
    with pytest.raises(InvalidLifetimeError):
        end_of(text, NOW)


@pytest.mark.parametrize(
    "command", [["user", "create"], ["user", "add-token"], ["user", "role"], ["token", "create"]]
)
def test_help_says_what_ingest_can_do(command: list[str], capsys: Captured) -> None:
    pricetag([*command, "--help"])
    assert "ingest: only send measurements (pricetag push)" in " ".join(
        capsys.readouterr().out.replace("│", " ").split()
    )
