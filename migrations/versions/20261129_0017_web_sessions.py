"""Sessions of browsers, and sign-ins under way."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE IF NOT EXISTS web_sessions (
    id uuid NOT NULL CONSTRAINT pk_web_sessions PRIMARY KEY,
    user_id uuid NOT NULL CONSTRAINT fk_web_sessions_user_id_users REFERENCES users (id),
    token_id uuid CONSTRAINT fk_web_sessions_token_id_tokens REFERENCES tokens (id),
    method varchar NOT NULL
        CONSTRAINT ck_web_sessions_method CHECK (method IN ('link', 'token', 'oidc', 'proxy')),
    secret_sha256 varchar NOT NULL CONSTRAINT uq_web_sessions_secret_sha256 UNIQUE,
    browser varchar,
    last_used_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS ix_web_sessions_user_id ON web_sessions (user_id);
CREATE INDEX IF NOT EXISTS ix_web_sessions_created_at ON web_sessions (created_at);
CREATE TABLE IF NOT EXISTS sign_ins (
    id uuid NOT NULL CONSTRAINT pk_sign_ins PRIMARY KEY,
    secret_sha256 varchar NOT NULL CONSTRAINT uq_sign_ins_secret_sha256 UNIQUE,
    user_id uuid CONSTRAINT fk_sign_ins_user_id_users REFERENCES users (id),
    details jsonb,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    created_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS ix_sign_ins_created_at ON sign_ins (created_at);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE sign_ins")
    op.execute("DROP TABLE web_sessions")
