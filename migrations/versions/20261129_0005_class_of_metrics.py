"""Metrics: the class that an F1 is of, and why a value is missing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("metrics", sa.Column("of_class", sa.String(), nullable=True))
    op.add_column("metrics", sa.Column("reason", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("metrics", "reason")
    op.drop_column("metrics", "of_class")
