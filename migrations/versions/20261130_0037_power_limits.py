"""The power limit of each accelerator of a run."""

from __future__ import annotations

from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE runs ADD COLUMN IF NOT EXISTS power_limit_w double precision")


def downgrade() -> None:
    op.execute("ALTER TABLE runs DROP COLUMN power_limit_w")
