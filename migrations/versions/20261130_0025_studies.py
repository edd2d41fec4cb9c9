"""Studies, their trials, and the runs of each trial."""

from __future__ import annotations

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE IF NOT EXISTS studies (
    id uuid NOT NULL CONSTRAINT pk_studies PRIMARY KEY,
    created_at timestamptz NOT NULL,
    project_id uuid NOT NULL CONSTRAINT fk_studies_project_id_projects REFERENCES projects (id),
    experiment varchar NOT NULL,
    name varchar NOT NULL,
    spec jsonb NOT NULL,
    status varchar NOT NULL CONSTRAINT ck_studies_status
        CHECK (status in ('running', 'finished', 'failed', 'cancelled')),
    status_reason jsonb,
    created_by uuid NOT NULL CONSTRAINT fk_studies_created_by_users REFERENCES users (id),
    token_id uuid CONSTRAINT fk_studies_token_id_tokens REFERENCES tokens (id),
    finished_at timestamptz,
    idempotency_key varchar,
    body_sha256 varchar NOT NULL
);
CREATE INDEX IF NOT EXISTS ix_studies_created_at_id ON studies (created_at, id);
CREATE INDEX IF NOT EXISTS ix_studies_project_id_created_at_id
    ON studies (project_id, created_at, id);
CREATE INDEX IF NOT EXISTS ix_studies_running ON studies (id) WHERE status = 'running';
CREATE UNIQUE INDEX IF NOT EXISTS ix_studies_created_by_idempotency_key
    ON studies (created_by, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE IF NOT EXISTS study_trials (
    study_id uuid NOT NULL CONSTRAINT fk_study_trials_study_id_studies
        REFERENCES studies (id) ON DELETE CASCADE,
    number integer NOT NULL,
    bracket integer NOT NULL,
    trial_values jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_study_trials PRIMARY KEY (study_id, number)
);

CREATE TABLE IF NOT EXISTS study_runs (
    study_id uuid NOT NULL,
    trial integer NOT NULL,
    rung integer NOT NULL,
    run_id uuid CONSTRAINT fk_study_runs_run_id_runs REFERENCES runs (id) ON DELETE CASCADE,
    failure jsonb,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_study_runs PRIMARY KEY (study_id, trial, rung),
    CONSTRAINT uq_study_runs_run_id UNIQUE (run_id),
    CONSTRAINT ck_study_runs_run_or_failure CHECK ((run_id IS NULL) = (failure IS NOT NULL)),
    CONSTRAINT fk_study_runs_study_id_trial_study_trials
        FOREIGN KEY (study_id, trial) REFERENCES study_trials (study_id, number) ON DELETE CASCADE
);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE study_runs, study_trials, studies")
