"""Who measured a run: a worker of the queue, or something outside it.

All earlier runs are the queue's. Each step accepts what is done already, so that an interrupted
migration may run again.
"""

from __future__ import annotations

from alembic import op

from app.migration_steps import committed_at_once, create_index

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE runs ADD COLUMN IF NOT EXISTS origin varchar DEFAULT 'queue' NOT NULL,
    ADD COLUMN IF NOT EXISTS measured_by varchar,
    DROP CONSTRAINT IF EXISTS ck_runs_origin;
ALTER TABLE runs ADD CONSTRAINT ck_runs_origin
    CHECK (origin in ('queue', 'local', 'slurm', 'codecarbon', 'import')) NOT VALID;
"""


def upgrade() -> None:
    with committed_at_once():
        op.get_bind().exec_driver_sql(COLUMNS)
        op.execute("ALTER TABLE runs VALIDATE CONSTRAINT ck_runs_origin")
        create_index("ix_runs_origin_created_at_id", "runs (origin, created_at, id)")


def downgrade() -> None:
    op.execute("DROP INDEX ix_runs_origin_created_at_id")
    op.execute("ALTER TABLE runs DROP COLUMN origin, DROP COLUMN measured_by")
