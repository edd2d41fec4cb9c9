"""Charts that pages show, by the hash of their content."""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE IF NOT EXISTS charts (
    sha256 varchar NOT NULL CONSTRAINT pk_charts PRIMARY KEY,
    content bytea NOT NULL,
    projects uuid[] NOT NULL,
    used_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL
);
ALTER TABLE charts ALTER COLUMN content SET STORAGE EXTERNAL;
CREATE INDEX IF NOT EXISTS ix_charts_used_at ON charts (used_at);
CREATE INDEX IF NOT EXISTS ix_charts_created_at ON charts (created_at);
"""


def upgrade() -> None:
    op.execute(TABLE)


def downgrade() -> None:
    op.execute("DROP TABLE charts")
