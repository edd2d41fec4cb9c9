"""Share links; and why each run of a paper was in it before the paper was frozen."""

from __future__ import annotations

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE IF NOT EXISTS shares (
    id uuid NOT NULL CONSTRAINT pk_shares PRIMARY KEY,
    created_at timestamptz NOT NULL,
    created_by uuid NOT NULL CONSTRAINT fk_shares_created_by_users REFERENCES users (id),
    secret_sha256 varchar NOT NULL CONSTRAINT uq_shares_secret_sha256 UNIQUE,
    kind varchar NOT NULL,
    paper_id uuid CONSTRAINT fk_shares_paper_id_papers REFERENCES papers (id) ON DELETE SET NULL,
    report_id uuid CONSTRAINT fk_shares_report_id_reports
        REFERENCES reports (id) ON DELETE CASCADE,
    run_id uuid CONSTRAINT fk_shares_run_id_runs REFERENCES runs (id) ON DELETE CASCADE,
    title varchar NOT NULL,
    is_anonymous boolean NOT NULL,
    expires_at timestamptz NOT NULL,
    withdrawn_at timestamptz,
    use_count integer NOT NULL,
    last_used_at timestamptz,
    content_sha256 varchar NOT NULL,
    context bytea,
    price_tags bytea,
    CONSTRAINT ck_shares_kind CHECK (kind in ('paper', 'report', 'run'))
);
CREATE INDEX IF NOT EXISTS ix_shares_created_at ON shares (created_at);
CREATE INDEX IF NOT EXISTS ix_shares_created_by ON shares (created_by);
CREATE INDEX IF NOT EXISTS ix_shares_paper_id ON shares (paper_id);
CREATE INDEX IF NOT EXISTS ix_shares_report_id ON shares (report_id);
CREATE INDEX IF NOT EXISTS ix_shares_run_id ON shares (run_id);
ALTER TABLE paper_runs ADD COLUMN IF NOT EXISTS origin varchar;
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("ALTER TABLE paper_runs DROP COLUMN origin")
    op.execute("DROP TABLE shares")
