"""The pages of the navigation, in order. A page that is not there yet is not shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request

from app.schemas.common import Role
from app.services.principals import Principal
from app.web.links import has_page, rel


@dataclass(frozen=True, slots=True)
class Entry:
    """A page of the navigation.

    Attributes:
        title: Its title.
        page: Name of the page: that of its function.
        icon: Name of its icon.
        key: Letter that opens the page after `g`.
        role: Lowest role that it is shown to.
    """

    title: str
    page: str
    icon: str
    key: str
    role: Role = "viewer"


ENTRIES = (
    Entry("Overview", "show_overview", "layout-dashboard", "o"),
    Entry("Power", "show_power", "activity", "w"),
    Entry("Runs", "show_runs", "list", "r"),
    Entry("Studies", "show_studies", "search", "t"),
    Entry("Queue", "show_queue", "hourglass", "q"),
    Entry("Nodes", "show_nodes", "server", "n"),
    Entry("Energy", "show_energy", "zap", "e"),
    Entry("Carbon", "show_carbon", "leaf", "c"),
    Entry("Budgets", "show_budgets", "wallet", "b"),
    Entry("Frontier", "show_frontier", "chart-scatter", "f"),
    Entry("Compressions", "show_compressions", "shrink", "s"),
    Entry("Expected validation", "show_curves", "chart-line", "v"),
    Entry("Compare", "show_compare", "sliders-horizontal", "m"),
    Entry("Papers", "show_papers", "book-open", "p"),
    Entry("Admin", "show_admin", "shield-check", "a", "admin"),
)


@dataclass(frozen=True, slots=True)
class Item:
    """A link of the navigation."""

    title: str
    href: str
    icon: str
    key: str
    is_current: bool


def items(request: Request, visitor: Principal | None) -> Sequence[Item]:
    """The navigation of a page for its visitor."""
    if visitor is None:
        return []
    route = request.scope.get("route")
    section = getattr(route, "openapi_extra", None) or {}
    current = section.get("section", getattr(route, "name", ""))
    return [
        Item(entry.title, rel(request, entry.page), entry.icon, entry.key, entry.page == current)
        for entry in ENTRIES
        if has_page(request, entry.page) and visitor.has(entry.role)
    ]
