"""The plans that PostgreSQL makes for the queries of a block."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event

from app.db import Database


@dataclass(frozen=True)
class Plan:
    """A statement, and how it is executed."""

    statement: str
    tree: dict[str, Any]

    @property
    def nodes(self) -> list[dict[str, Any]]:
        """Every step of the plan."""
        return list(_nodes(self.tree))

    def read_whole(self) -> list[str]:
        """Tables that are read from one end to the other."""
        return [node["Relation Name"] for node in self.nodes if node["Node Type"] == "Seq Scan"]


@contextmanager
def planned(database: Database) -> Iterator[list[Plan]]:
    """Collects the plan of every query that is executed within, under the same settings."""
    plans: list[Plan] = []

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH")):
            explained = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
            document = explained.scalar_one()
            tree = json.loads(document) if isinstance(document, str) else document
            plans.append(Plan(statement, tree[0]["Plan"]))

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", explain)
    try:
        yield plans
    finally:
        event.remove(engine, "before_cursor_execute", explain)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for part in node.get("Plans", []):
        yield from _nodes(part)
