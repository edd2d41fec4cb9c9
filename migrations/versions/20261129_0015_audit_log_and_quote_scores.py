"""The audit log by every filter in order of time, and the scores of quotes in columns.

The scores are written by a trigger from then on, and those that are there some thousand at a
time: each time is committed by itself, and an interrupted migration goes on with those left.
"""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import op

from app.migration_steps import committed_at_once, create_index, drop_index

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

AT_ONCE = 5000
FILTERS = ("object_id", "token_id", "user_id", "actor", "action", "object_kind", "access")
INDEXES = {
    "ix_audit_log_at_id": "audit_log (at, id)",
    **{f"ix_audit_log_{name}_at_id": f"audit_log ({name}, at, id)" for name in FILTERS},
}
REPLACED = {
    "ix_audit_log_at": "audit_log (at)",
    "ix_audit_log_object": "audit_log (object_kind, object_id)",
    "ix_quotes_scored_at": "quotes (scored_at)",
}
QUANTITIES = ("duration_s", "it_energy_kwh", "facility_energy_kwh", "co2e_kg", "cost")

SCORE_COLUMNS = ", ".join(
    f"{name}_log_error double precision, {name}_inside boolean" for name in QUANTITIES
)
TABLE = f"""
CREATE TABLE IF NOT EXISTS quote_scores (
    run_id uuid NOT NULL CONSTRAINT pk_quote_scores PRIMARY KEY
        CONSTRAINT fk_quote_scores_run_id_quotes REFERENCES quotes (run_id) ON DELETE CASCADE,
    scored_at timestamptz NOT NULL,
    status varchar NOT NULL,
    method varchar NOT NULL,
    level varchar,
    pool varchar NOT NULL,
    {SCORE_COLUMNS}
);
CREATE INDEX IF NOT EXISTS ix_quote_scores_scored_at_run_id ON quote_scores (scored_at, run_id);
"""
COLUMNS = (
    *("run_id", "scored_at", "status", "method", "level", "pool"),
    *(f"{name}_{part}" for name in QUANTITIES for part in ("log_error", "inside")),
)
VALUES = ", ".join(
    f"CAST({{quote}}.score #>> '{{{{quantities,{name},{part}}}}}' AS {type_})"
    for name in QUANTITIES
    for part, type_ in (("log_error", "double precision"), ("inside", "boolean"))
)
SCORE = (
    "{quote}.run_id, {quote}.scored_at, {quote}.score ->> 'status', {quote}.score ->> 'method',"
    f" {{quote}}.score ->> 'level', {{quote}}.score ->> 'pool', {VALUES}"
)
REPLACED_SCORE = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])
IS_SCORED = "{quote}.scored_at IS NOT NULL AND jsonb_typeof({quote}.score) = 'object'"
TRIGGER = f"""
CREATE OR REPLACE FUNCTION pricetag_quote_score() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF {IS_SCORED.format(quote="NEW")} THEN
        INSERT INTO quote_scores ({", ".join(COLUMNS)}) VALUES ({SCORE.format(quote="NEW")})
        ON CONFLICT (run_id) DO UPDATE SET {REPLACED_SCORE};
    ELSE
        DELETE FROM quote_scores WHERE run_id = NEW.run_id;
    END IF;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER score AFTER INSERT OR UPDATE OF score, scored_at ON quotes
    FOR EACH ROW EXECUTE FUNCTION pricetag_quote_score();
"""
# A quote that is scored anew meanwhile is written by the trigger, and stays as it is.
FILL = f"""
CREATE OR REPLACE FUNCTION pricetag_fill_quote_scores(after uuid, at_once integer) RETURNS uuid
LANGUAGE sql AS $$
    WITH batch AS MATERIALIZED (
        SELECT * FROM quotes WHERE run_id > after ORDER BY run_id LIMIT at_once
    ), written AS (
        INSERT INTO quote_scores ({", ".join(COLUMNS)})
        SELECT {SCORE.format(quote="batch")} FROM batch WHERE {IS_SCORED.format(quote="batch")}
            AND NOT EXISTS (SELECT FROM quote_scores AS s WHERE s.run_id = batch.run_id)
        ON CONFLICT DO NOTHING
    )
    SELECT run_id FROM batch ORDER BY run_id DESC LIMIT 1
$$;
"""
FIRST = uuid.UUID(int=0)


def upgrade() -> None:
    with committed_at_once():
        for name, definition in INDEXES.items():
            create_index(name, definition)
        connection = op.get_bind()
        for script in (TABLE, TRIGGER, FILL):
            connection.exec_driver_sql(script)
        _fill(connection)
        for name in REPLACED:
            drop_index(name)


def _fill(connection: sa.Connection) -> None:
    some = sa.text("SELECT pricetag_fill_quote_scores(:after, :at_once)")
    after: uuid.UUID | None = FIRST
    while after is not None:
        after = connection.execute(some, {"after": after, "at_once": AT_ONCE}).scalar_one()


def downgrade() -> None:
    op.execute("DROP TRIGGER score ON quotes")
    op.execute("DROP FUNCTION pricetag_quote_score, pricetag_fill_quote_scores")
    op.execute("DROP TABLE quote_scores")
    for name, definition in REPLACED.items():
        op.execute(f"CREATE INDEX {name} ON {definition}")
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")
