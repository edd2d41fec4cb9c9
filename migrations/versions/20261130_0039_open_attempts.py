"""All open attempts by an index: the one of open attempts of a run has none of a cluster."""

from __future__ import annotations

from app.migration_steps import committed_at_once, create_index, drop_index

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

NAME = "ix_attempts_open"


def upgrade() -> None:
    with committed_at_once():
        create_index(NAME, "attempts (run_id) WHERE ended_at IS NULL")


def downgrade() -> None:
    with committed_at_once():
        drop_index(NAME)
