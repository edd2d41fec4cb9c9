"""Chains of runs: which published model a run takes, by hash."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    runs = ["runs.id"]
    op.create_table(
        "run_upstreams",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("upstream_run_id", sa.Uuid(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("folder", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column(
            "files", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False
        ),
        sa.PrimaryKeyConstraint("run_id", "upstream_run_id", "stage", name=op.f("pk_run_upstreams")),
        sa.ForeignKeyConstraint(
            ["run_id"], runs, name=op.f("fk_run_upstreams_run_id_runs"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["upstream_run_id"],
            runs,
            name=op.f("fk_run_upstreams_upstream_run_id_runs"),
        ),
    )
    op.create_index(
        op.f("ix_run_upstreams_upstream_run_id"), "run_upstreams", ["upstream_run_id"]
    )


def downgrade() -> None:
    op.drop_table("run_upstreams")
