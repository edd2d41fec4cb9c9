"""The server's health and its browsers on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pricetag.cli.views.tables import ListTable
from pricetag.tag.figures import counted


def health_lines(state: Mapping[str, Any]) -> Iterator[str]:
    """Every check with its result, those that need attention first."""
    versions, database = state["versions"], state["database"]
    order = ("failed", "warning", "ok")
    for check in sorted(state["checks"], key=lambda check: order.index(check["state"])):
        yield f"{check['state']:<8} {check['name']}: {check['message']}"
    workers = counted(state["workers"], "live worker")
    yield f"{workers} on {counted(state['worker_nodes'], 'node')}"
    for pool in state["queue"]:
        yield f"pool {pool['pool']}: {pool['queued']} queued, {pool['running']} running"
    yield (
        f"Pricetag {versions['pricetag']}, accounting {versions['accounting']}, "
        f"PostgreSQL {database['version']}"
    )


def sessions_view(sessions: Iterable[Mapping[str, Any]]) -> ListTable:
    """Signed-in browsers, one per row."""
    heads = ("~User", "~Browser", "By", "Last used (UTC)", "Expires (UTC)", "ID")
    rows = [
        (
            session["user"],
            session["browser"] or "unnamed",
            session["method"],
            _minute(session["last_used_at"]),
            _minute(session["expires_at"]),
            session["id"],
        )
        for session in sessions
    ]
    return ListTable(heads, rows)


def session_line(session: Mapping[str, Any]) -> str:
    """A browser that was signed out."""
    return f"{session['user']}, {session['browser'] or 'unnamed browser'}: signed out"


def _minute(moment: object) -> str:
    return str(moment)[:16].replace("T", " ")
