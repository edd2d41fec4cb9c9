"""The migrations are one chain: two that follow the same one would stop every upgrade."""

from __future__ import annotations

from alembic.script import ScriptDirectory

from app import migrate


def test_the_migrations_are_one_chain_in_the_order_of_their_numbers() -> None:
    scripts = ScriptDirectory.from_config(migrate.alembic_config())
    newest_first = [script.revision for script in scripts.walk_revisions()]
    assert scripts.get_heads() == newest_first[:1]
    assert newest_first[::-1] == [f"{number:04}" for number in range(1, len(newest_first) + 1)]
    assert all(len(script.nextrev) <= 1 for script in scripts.walk_revisions())
