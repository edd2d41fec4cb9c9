"""Attempts: how much of their reports was taken, and how long their lease is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    intake = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
    op.add_column("attempts", sa.Column("intake", intake, nullable=True))
    op.add_column("attempts", sa.Column("lease_s", sa.Double(), nullable=True))


def downgrade() -> None:
    op.drop_column("attempts", "lease_s")
    op.drop_column("attempts", "intake")
