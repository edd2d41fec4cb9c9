"""Headlines of price tags for lists, price tags and reports by their hash, and saved views.

Price tags of earlier versions get their headline from housekeeping, newest first; until then a
list reads their documents.
"""

from __future__ import annotations

from alembic import op

from app.migration_steps import committed_at_once, create_index, drop_index

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

COLUMN = """
ALTER TABLE price_tags ADD COLUMN IF NOT EXISTS headline bytea;
ALTER TABLE price_tags ALTER COLUMN headline SET STORAGE EXTERNAL;
"""
TABLE = """
CREATE TABLE IF NOT EXISTS saved_views (
    id uuid NOT NULL CONSTRAINT pk_saved_views PRIMARY KEY,
    created_at timestamptz NOT NULL,
    created_by uuid NOT NULL CONSTRAINT fk_saved_views_created_by_users REFERENCES users (id),
    project_id uuid CONSTRAINT fk_saved_views_project_id_projects REFERENCES projects (id),
    name varchar,
    query varchar NOT NULL,
    is_default boolean NOT NULL
);
CREATE INDEX IF NOT EXISTS ix_saved_views_created_at ON saved_views (created_at);
CREATE UNIQUE INDEX IF NOT EXISTS ix_saved_views_created_by_name ON saved_views (created_by, name)
    WHERE project_id IS NULL AND name IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS ix_saved_views_project_id_name ON saved_views (project_id, name)
    WHERE project_id IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS ix_saved_views_default ON saved_views (project_id)
    WHERE is_default;
"""
INDEXES = {
    "ix_price_tags_content_sha256": "price_tags (content_sha256)",
    "ix_reports_content_sha256": "reports (content_sha256)",
    "ix_price_tags_without_headline": "price_tags (created_at) WHERE headline IS NULL",
}


def upgrade() -> None:
    with committed_at_once():
        connection = op.get_bind()
        for script in (COLUMN, TABLE):
            connection.exec_driver_sql(script)
        for name, definition in INDEXES.items():
            create_index(name, definition)


def downgrade() -> None:
    op.execute("DROP TABLE saved_views")
    with committed_at_once():
        for name in INDEXES:
            drop_index(name)
    op.execute("ALTER TABLE price_tags DROP COLUMN headline")
