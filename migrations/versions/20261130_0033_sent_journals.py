"""How far the journals of attempts that no queue started have arrived."""

from __future__ import annotations

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE IF NOT EXISTS sent_journals (
    attempt_id uuid NOT NULL CONSTRAINT pk_sent_journals PRIMARY KEY
        CONSTRAINT fk_sent_journals_attempt_id_attempts
        REFERENCES attempts (id) ON DELETE CASCADE,
    size_bytes bigint NOT NULL,
    records integer NOT NULL,
    chain_sha256 varchar NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS journal_chunks (
    attempt_id uuid NOT NULL CONSTRAINT fk_journal_chunks_attempt_id_sent_journals
        REFERENCES sent_journals (attempt_id) ON DELETE CASCADE,
    begin_byte bigint NOT NULL,
    size_bytes integer NOT NULL,
    sha256 varchar NOT NULL,
    CONSTRAINT pk_journal_chunks PRIMARY KEY (attempt_id, begin_byte)
);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE journal_chunks, sent_journals")
