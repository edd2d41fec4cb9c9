"""Indexes of the runs of a project and a user, and of a project and a status.

They have each pair once with the places of all its runs: 7 MB each for a million runs. The grams of
a text take as long as a hundred comparisons: with such a pair, the index of words is used, too.
"""

from __future__ import annotations

from alembic import op

from app.migration_steps import committed_at_once, create_index, drop_index

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_runs_project_id_created_by": "runs (project_id, created_by)",
    "ix_runs_project_id_status": "runs (project_id, status)",
}


GRAMS = "ALTER FUNCTION pricetag_search_grams(text, text[]) COST {cost}"


def upgrade() -> None:
    op.execute(GRAMS.format(cost=1000))
    with committed_at_once():
        for name, definition in INDEXES.items():
            create_index(name, definition)


def downgrade() -> None:
    op.execute(GRAMS.format(cost=100))
    with committed_at_once():
        for name in INDEXES:
            drop_index(name)
