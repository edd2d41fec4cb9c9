"""What a lost attempt may have used after its last reading, by component."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE attempts ADD COLUMN IF NOT EXISTS unread_j jsonb")


def downgrade() -> None:
    op.execute("ALTER TABLE attempts DROP COLUMN IF EXISTS unread_j")
