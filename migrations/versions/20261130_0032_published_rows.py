"""Papers: rows of other publications beside their runs."""

from __future__ import annotations

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE papers ADD COLUMN IF NOT EXISTS published jsonb")


def downgrade() -> None:
    op.execute("ALTER TABLE papers DROP COLUMN published")
