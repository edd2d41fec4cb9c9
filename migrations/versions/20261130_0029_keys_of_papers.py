"""Idempotency keys of papers."""

from __future__ import annotations

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE papers ADD COLUMN IF NOT EXISTS idempotency_key varchar;
ALTER TABLE papers ADD COLUMN IF NOT EXISTS body_sha256 varchar;
CREATE UNIQUE INDEX IF NOT EXISTS ix_papers_created_by_idempotency_key
    ON papers (created_by, idempotency_key) WHERE idempotency_key IS NOT NULL;
"""


def upgrade() -> None:
    op.execute(COLUMNS)


def downgrade() -> None:
    op.execute("ALTER TABLE papers DROP COLUMN idempotency_key")
    op.execute("ALTER TABLE papers DROP COLUMN body_sha256")
