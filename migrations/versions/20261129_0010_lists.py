"""Lists of runs: an index for every order and filter, and for the search of names and tags."""

from __future__ import annotations

from alembic import op

from app.migration_steps import committed_at_once, create_index, drop_index

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# The functions fold case as the database does; an index that uses them is built anew where a
# later revision changes one.
SEARCH = r"""
CREATE OR REPLACE FUNCTION pricetag_search_text(name text, tags text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN lower(array_to_string(array_append(tags, name), E'\n'));

CREATE OR REPLACE FUNCTION pricetag_search_grams(name text, tags text[]) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT array_to_tsvector(array_agg(DISTINCT substr(searched, place, 3)))
    FROM pricetag_search_text(name, tags) AS searched,
        generate_series(1, length(searched)) AS place
);

CREATE OR REPLACE FUNCTION pricetag_gram_query(word text) RETURNS tsquery
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT string_agg(
        DISTINCT
        '''' || replace(replace(substr(lower(word), place, 3), '\', '\\'), '''', '''''') || ''''
            || CASE WHEN length(lower(word)) < 3 THEN ':*' ELSE '' END,
        ' & '
    )::tsquery
    FROM generate_series(1, greatest(length(lower(word)) - 2, 1)) AS place
);
"""

INDEXES = {
    "ix_runs_name_id": "runs (name, id)",
    "ix_runs_finished_at_id": "runs (coalesce(finished_at, 'infinity'::timestamptz), id)",
    "ix_runs_project_id_created_at_id": "runs (project_id, created_at, id)",
    "ix_runs_experiment_id_created_at_id": "runs (experiment_id, created_at, id)",
    "ix_runs_created_by_created_at_id": "runs (created_by, created_at, id)",
    "ix_runs_kind_created_at_id": "runs (kind, created_at, id)",
    "ix_runs_status_created_at_id": "runs (status, created_at, id)",
    "ix_runs_kinds": "runs USING gin (string_to_array(kind, '+'))"
    " WITH (gin_pending_list_limit = 128)",
    "ix_runs_search": "runs USING gin (pricetag_search_grams(name, tags))"
    " WITH (gin_pending_list_limit = 128)",
}
# Each is the beginning of a new one.
REPLACED = {
    "ix_runs_created_at": "runs (created_at)",
    "ix_runs_project_id": "runs (project_id)",
    "ix_runs_experiment_id": "runs (experiment_id)",
    "ix_runs_status_created_at": "runs (status, created_at)",
}


def upgrade() -> None:
    op.execute(SEARCH)
    with committed_at_once():
        for name, definition in INDEXES.items():
            create_index(name, definition)
        for name in REPLACED:
            drop_index(name)


def downgrade() -> None:
    for name, definition in REPLACED.items():
        op.execute(f"CREATE INDEX {name} ON {definition}")
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")
    op.execute("DROP FUNCTION pricetag_search_grams, pricetag_gram_query, pricetag_search_text")
