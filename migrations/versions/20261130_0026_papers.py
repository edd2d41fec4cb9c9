"""Papers: named collections of runs, and the reports on them."""

from __future__ import annotations

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE IF NOT EXISTS papers (
    id uuid NOT NULL CONSTRAINT pk_papers PRIMARY KEY,
    created_at timestamptz NOT NULL,
    project_id uuid NOT NULL CONSTRAINT fk_papers_project_id_projects REFERENCES projects (id),
    created_by uuid NOT NULL CONSTRAINT fk_papers_created_by_users REFERENCES users (id),
    title varchar NOT NULL,
    authors varchar,
    rule jsonb,
    frozen_at timestamptz,
    selection_sha256 varchar
);
CREATE INDEX IF NOT EXISTS ix_papers_created_at ON papers (created_at);
CREATE INDEX IF NOT EXISTS ix_papers_project_id ON papers (project_id);
CREATE TABLE IF NOT EXISTS paper_runs (
    paper_id uuid NOT NULL CONSTRAINT fk_paper_runs_paper_id_papers
        REFERENCES papers (id) ON DELETE CASCADE,
    run_id uuid NOT NULL CONSTRAINT fk_paper_runs_run_id_runs REFERENCES runs (id),
    purpose varchar,
    version integer,
    content_sha256 varchar,
    CONSTRAINT pk_paper_runs PRIMARY KEY (paper_id, run_id)
);
CREATE INDEX IF NOT EXISTS ix_paper_runs_run_id ON paper_runs (run_id);
ALTER TABLE reports ADD COLUMN IF NOT EXISTS paper_id uuid
    CONSTRAINT fk_reports_paper_id_papers REFERENCES papers (id);
CREATE INDEX IF NOT EXISTS ix_reports_paper_id ON reports (paper_id);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("ALTER TABLE reports DROP COLUMN paper_id")
    op.execute("DROP TABLE paper_runs")
    op.execute("DROP TABLE papers")
