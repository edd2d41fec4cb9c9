"""Entries of the audit log as sentences."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from app.schemas.audit import AuditRead
from app.web.views.admin.audit import AuditRow, rows

USER = "6f0c0d0e-0000-4000-8000-000000000001"
PROJECT = "6f0c0d0e-0000-4000-8000-000000000002"


def row(**values: Any) -> AuditRow:
    about: dict[str, Any] = {
        "id": 1,
        "at": datetime(2026, 3, 1, tzinfo=UTC),
        "user_id": None,
        "token_id": None,
        "actor": "ada",
        "access": "token",
        "os_user": None,
        "action": "changed",
        "object_kind": "user",
        "object_id": USER,
        "before": None,
        "after": None,
    }
    (one,) = rows([AuditRead.model_validate(about | values)])
    return one


def sentence(shown: AuditRow) -> str:
    return f"{shown.actor} {shown.did} {shown.noun} {shown.name}"


def changes(shown: AuditRow) -> list[tuple[str, object, object]]:
    return [(one.label, one.before, one.after) for one in shown.changes]


def test_a_change_names_the_object_and_only_what_differs() -> None:
    before = {"name": "bob", "role": "member", "disabled_at": None}
    after = {"name": "bob", "role": "viewer", "disabled_at": "2026-03-01T00:00:00+00:00"}
    shown = row(before=before, after=after, names={USER: "bob"})
    assert sentence(shown) == "ada changed the user bob"
    assert changes(shown) == [
        ("role", "member", "viewer"),
        ("disabled at", "none", datetime(2026, 3, 1, tzinfo=UTC)),
    ]
    assert shown.means == "with a token"


def test_a_new_object_is_described_without_what_it_has_not() -> None:
    after = {"name": "laptop", "user": "bob", "role": "member", "project": None, "expires_at": None}
    shown = row(action="created", object_kind="token", after=after)
    assert sentence(shown) == "ada created the token laptop"
    assert changes(shown) == [("role", None, "member"), ("user", None, "bob")]


def test_objects_without_a_name_are_named_by_what_they_are() -> None:
    factor = {"kind": "calibration", "subject": "GPU-1", "value": "1.02", "multiplicative": False}
    shown = row(action="created", object_kind="factor", object_id="x", after=factor)
    assert sentence(shown) == "ada created the factor calibration GPU-1"
    assert ("value", None, "1.02") in changes(shown)
    price = row(object_kind="price", object_id="x", after={"price_id": "p", "kind": "on_demand"})
    assert (price.name, changes(price)) == ("p", [("kind", None, "on demand")])
    session = row(object_kind="session", action="revoked", after={"user": "bob"})
    assert sentence(session) == "ada revoked the session of bob"


def test_a_membership_names_user_and_project() -> None:
    names = {USER: "bob", PROJECT: "vision"}
    shown = row(
        object_kind="member",
        object_id=f"{PROJECT}/{USER}",
        action="deleted",
        before={"role": "owner"},
        names=names,
    )
    assert sentence(shown) == "ada deleted the membership of bob in the project vision"
    assert shown.changes == []


def test_ids_become_names_and_lists_and_mappings_texts() -> None:
    after = {"scope_id": PROJECT, "thresholds": [0.5, 0.8], "refuses": True}
    shown = row(object_kind="budget", action="created", after=after, names={PROJECT: "vision"})
    assert changes(shown) == [
        ("rejects runs", None, "yes"),
        ("of", None, "vision"),
        ("thresholds", None, "0.5; 0.8"),
    ]


def test_access_to_the_database_names_the_system_account() -> None:
    shown = row(access="direct-database", os_user="root", actor="service")
    assert shown.means == "on the database itself (system account root)"
    assert row(access="service", actor="service").means == ""
