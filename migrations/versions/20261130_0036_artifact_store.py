"""Where the contents of artifacts are: in the folder of their node, in the store, or removed.

Artifacts of earlier versions stay in their folder: nothing is known of a store.
"""

from __future__ import annotations

from alembic import op

from app.migration_steps import committed_at_once, create_index, drop_index

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

COLUMNS = {"stored_at": "timestamptz", "not_stored": "varchar", "removed_at": "timestamptz"}

INDEXES = {
    "ix_artifacts_sha256": "artifacts (sha256)",
    "ix_artifacts_waiting": "artifacts (attempt_id) "
    "WHERE stored_at IS NULL AND not_stored IS NULL AND removed_at IS NULL",
}


def upgrade() -> None:
    for name, type_ in COLUMNS.items():
        op.execute(f"ALTER TABLE artifacts ADD COLUMN IF NOT EXISTS {name} {type_}")
    with committed_at_once():
        for name, definition in INDEXES.items():
            create_index(name, definition)


def downgrade() -> None:
    with committed_at_once():
        for name in INDEXES:
            drop_index(name)
    for name in COLUMNS:
        op.execute(f"ALTER TABLE artifacts DROP COLUMN IF EXISTS {name}")
