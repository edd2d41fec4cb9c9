"""Roll-ups of the energy account: exact sums by hour, day and month, kept current by triggers.

The existing hours are marked as pending. The account judges pending hours itself, so its figures
are right before the roll-ups are filled; the server fills them afterwards, in batches.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.migration_steps import committed_at_once, create_index, drop_index

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

LEVELS = ("hours", "days", "months")

FUNCTIONS = """
CREATE OR REPLACE FUNCTION pricetag_energy_pending(nodes text[], hours timestamptz[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- A mark that is being deleted covers earlier changes, not this one: it is skipped, and a new
    -- one is added. A mark that is locked here stays at least until this transaction ends. Nobody
    -- waits, so there are no deadlocks.
    WITH changed AS (
        SELECT DISTINCT c.node_name, c.hour FROM unnest(nodes, hours) AS c (node_name, hour)
    ), kept AS MATERIALIZED (
        SELECT p.node_name, p.hour FROM energy_pending AS p
        JOIN changed AS c ON c.hour = p.hour AND c.node_name = p.node_name
        FOR KEY SHARE OF p SKIP LOCKED
    )
    INSERT INTO energy_pending (node_name, hour)
    SELECT c.node_name, c.hour FROM changed AS c
    WHERE NOT EXISTS (
        SELECT FROM kept AS k WHERE k.hour = c.hour AND k.node_name = c.node_name);
END
$$;

CREATE OR REPLACE FUNCTION pricetag_energy_hours_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM pricetag_energy_pending(array_agg(node_name), array_agg(hour))
        FROM (SELECT DISTINCT node_name, hour FROM old_rows) AS changed;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM pricetag_energy_pending(array_agg(node_name), array_agg(hour))
        FROM (SELECT DISTINCT node_name, hour FROM new_rows) AS changed;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION pricetag_energy_open_hours(
    attempt_node text, since timestamptz, until timestamptz)
RETURNS void LANGUAGE sql AS $$
    SELECT pricetag_energy_pending(
        array_agg(attempt_node), array_agg(hour))
    FROM generate_series(date_trunc('hour', since, 'UTC'), until, interval '1 hour') AS hour
$$;

-- An open attempt affects every hour since it began, reported or not.
CREATE OR REPLACE FUNCTION pricetag_energy_attempt_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.ended_at IS NULL THEN
        PERFORM pricetag_energy_open_hours(OLD.node_name, OLD.started_at, now());
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.ended_at IS NULL THEN
        PERFORM pricetag_energy_open_hours(NEW.node_name, NEW.started_at, now());
    END IF;
    IF TG_OP = 'UPDATE' THEN
        PERFORM pricetag_energy_pending(array_agg(node_name), array_agg(hour))
        FROM (SELECT DISTINCT node_name, hour FROM energy_hours WHERE attempt_id = NEW.id) AS own;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION pricetag_energy_run_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pricetag_energy_pending(array_agg(node_name), array_agg(hour))
    FROM (
        SELECT DISTINCT h.node_name, h.hour FROM energy_hours AS h
        JOIN attempts AS a ON a.id = h.attempt_id WHERE a.run_id = NEW.id
    ) AS own;
    RETURN NULL;
END
$$;
"""

TRIGGERS = """
CREATE OR REPLACE TRIGGER energy_pending_inserted AFTER INSERT ON energy_hours
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION pricetag_energy_hours_changed();
CREATE OR REPLACE TRIGGER energy_pending_updated AFTER UPDATE ON energy_hours
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION pricetag_energy_hours_changed();
CREATE OR REPLACE TRIGGER energy_pending_deleted AFTER DELETE ON energy_hours
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION pricetag_energy_hours_changed();
CREATE OR REPLACE TRIGGER energy_pending_opened AFTER INSERT ON attempts
    FOR EACH ROW WHEN (NEW.ended_at IS NULL)
    EXECUTE FUNCTION pricetag_energy_attempt_changed();
CREATE OR REPLACE TRIGGER energy_pending_changed
    AFTER UPDATE OF ended_at, started_at, components, node_name ON attempts
    FOR EACH ROW WHEN (
        (OLD.ended_at IS NULL) <> (NEW.ended_at IS NULL)
        OR NEW.ended_at IS NULL AND (OLD.started_at, OLD.components, OLD.node_name)
            IS DISTINCT FROM (NEW.started_at, NEW.components, NEW.node_name))
    EXECUTE FUNCTION pricetag_energy_attempt_changed();
CREATE OR REPLACE TRIGGER energy_pending_removed AFTER DELETE ON attempts
    FOR EACH ROW WHEN (OLD.ended_at IS NULL)
    EXECUTE FUNCTION pricetag_energy_attempt_changed();
CREATE OR REPLACE TRIGGER energy_pending_moved AFTER UPDATE OF project_id, created_by ON runs
    FOR EACH ROW WHEN (
        (OLD.project_id, OLD.created_by) IS DISTINCT FROM (NEW.project_id, NEW.created_by))
    EXECUTE FUNCTION pricetag_energy_run_changed();
"""

MARK_EVERY_HOUR = """
INSERT INTO energy_pending (node_name, hour)
SELECT DISTINCT h.node_name, h.hour FROM energy_hours AS h
WHERE NOT EXISTS (
    SELECT FROM energy_pending AS p WHERE p.hour = h.hour AND p.node_name = h.node_name)
"""


def upgrade() -> None:
    _tables()
    op.execute(FUNCTIONS)
    op.execute(TRIGGERS)
    # From here on every change is marked. The rest takes long, and blocks nobody.
    with committed_at_once():
        create_index("ix_energy_hours_hour_node_name", "energy_hours (hour, node_name)")
        drop_index("ix_energy_hours_hour")
        op.execute(MARK_EVERY_HOUR)
        op.execute("ANALYZE energy_pending")


def _tables() -> None:
    op.create_table(
        "energy_pending",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("node_name", sa.String(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_energy_pending")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_energy_pending_hour_node_name"),
        "energy_pending",
        ["hour", "node_name"],
        if_not_exists=True,
    )
    op.create_table(
        "energy_series",
        sa.Column("id", sa.Integer(), sa.Identity(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("node_name", sa.String(), nullable=True),
        sa.Column("component", sa.String(), nullable=True),
        sa.Column("site", sa.String(), nullable=True),
        sa.Column("project_id", sa.Uuid(), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("gain_std_ratio", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["energy_series.id"], name=op.f("fk_energy_series_parent_id_energy_series")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_energy_series")),
        if_not_exists=True,
    )
    key = ["scope", "node_name", "component", "site", "project_id", "user_id"]
    op.create_index(
        "uq_energy_series_key",
        "energy_series",
        [*key, "kind", "name", "method", "gain_std_ratio"],
        unique=True,
        postgresql_nulls_not_distinct=True,
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_energy_series_node_name"), "energy_series", ["node_name"], if_not_exists=True
    )
    for level in LEVELS:
        name = f"energy_rollup_{level}"
        # Hours of all series are written and read together; days and months by series.
        order = ["start", "series_id"] if level == "hours" else ["series_id", "start"]
        op.create_table(
            name,
            sa.Column("start", sa.DateTime(timezone=True), nullable=False),
            sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
            sa.Column("hours", sa.Integer(), nullable=False),
            sa.Column("unmetered_hours", sa.Integer(), nullable=False),
            sa.Column("open_hours", sa.Integer(), nullable=False),
            sa.Column("undecided_hours", sa.Integer(), nullable=False),
            sa.Column("charged_j", sa.Numeric(), nullable=False),
            sa.Column("running_j", sa.Numeric(), nullable=False),
            sa.Column("unallocated_j", sa.Numeric(), nullable=False),
            sa.Column("undecided_j", sa.Numeric(), nullable=False),
            sa.Column("overallocated_j", sa.Numeric(), nullable=False),
            sa.PrimaryKeyConstraint(*order, name=op.f(f"pk_{name}")),
            if_not_exists=True,
        )


def downgrade() -> None:
    for table, triggers in (
        ("energy_hours", ("inserted", "updated", "deleted")),
        ("attempts", ("opened", "changed", "removed")),
        ("runs", ("moved",)),
    ):
        for trigger in triggers:
            op.execute(f"DROP TRIGGER energy_pending_{trigger} ON {table}")
    for function in (
        "pricetag_energy_run_changed()",
        "pricetag_energy_attempt_changed()",
        "pricetag_energy_open_hours(text, timestamptz, timestamptz)",
        "pricetag_energy_hours_changed()",
        "pricetag_energy_pending(text[], timestamptz[])",
    ):
        op.execute(f"DROP FUNCTION {function}")
    for table in ("energy_pending", "energy_series", *(f"energy_rollup_{x}" for x in LEVELS)):
        op.drop_table(table)
    op.create_index("ix_energy_hours_hour", "energy_hours", ["hour"])
    op.drop_index("ix_energy_hours_hour_node_name", table_name="energy_hours")
