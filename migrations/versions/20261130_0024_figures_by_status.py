"""Figures of runs by user, and by the status of runs that are over.

Triggers first, then the rows, some thousands at a time, each step committed by itself: an
interrupted migration goes on with rows that have neither. The status of an open run stays out: a
run changes its row at its end anyway, and no more often than before.
"""

from __future__ import annotations

import logging
import uuid

import sqlalchemy as sa
from alembic import op

from app.migration_steps import committed_at_once, create_index

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

log = logging.getLogger("pricetag.migrate")

STEP = 10_000
"""Runs of one step."""

VACUUM_STEPS = 10
"""Steps after which the space of old rows is used again."""

COLUMNS = """
ALTER TABLE run_figures ADD COLUMN IF NOT EXISTS created_by uuid,
    ADD COLUMN IF NOT EXISTS status varchar
"""

CONFLICT = """
ON CONFLICT (run_id) DO UPDATE SET version = excluded.version,
    it_energy_kwh = excluded.it_energy_kwh, cost = excluded.cost, currency = excluded.currency
WHERE run_figures.version < excluded.version
"""


def _of_over(run: str) -> str:
    return f"CASE WHEN {run}.status NOT IN ('queued', 'running') THEN {run}.status END"


OF_RUN = "run_id, project_id, experiment_id, kind, created_by, created_at, finished_at, status"
RUN = (
    "r.id, r.project_id, r.experiment_id, r.kind, r.created_by, r.created_at, r.finished_at, "
    + _of_over("r")
)
OF_RUN_BEFORE = "run_id, project_id, experiment_id, kind, created_at, finished_at"
RUN_BEFORE = "r.id, r.project_id, r.experiment_id, r.kind, r.created_at, r.finished_at"


def _written(columns: str, run: str) -> str:
    """The functions that give a run its row, and the row new figures."""
    insert = f"INSERT INTO run_figures ({columns}, version, it_energy_kwh, cost, currency)"
    return f"""
CREATE OR REPLACE FUNCTION pricetag_run_figures() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {insert}
    SELECT {run}, NEW.version, NEW.it_energy_kwh, NEW.cost, NEW.currency
    FROM runs AS r WHERE r.id = NEW.run_id
    {CONFLICT};
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION pricetag_run_figures_posted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO run_figures ({columns}, version) SELECT {run}, 0 FROM posted AS r
    ON CONFLICT (run_id) DO NOTHING;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION pricetag_fill_run_figures(after uuid, upto uuid) RETURNS void
LANGUAGE sql AS $$
{insert}
SELECT {run}, coalesce(t.version, 0), t.it_energy_kwh, t.cost, t.currency
FROM runs AS r
LEFT JOIN run_figures AS f ON f.run_id = r.id
LEFT JOIN LATERAL (SELECT version, it_energy_kwh, cost, currency FROM price_tags
    WHERE run_id = r.id ORDER BY version DESC LIMIT 1) AS t ON true
WHERE r.id > after AND r.id <= upto AND (f.version IS NULL OR f.version < t.version)
{CONFLICT}
$$;
"""


MOVED = f"""
CREATE OR REPLACE FUNCTION pricetag_run_figures_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE run_figures SET project_id = NEW.project_id, experiment_id = NEW.experiment_id,
        kind = NEW.kind, created_by = NEW.created_by, created_at = NEW.created_at,
        finished_at = NEW.finished_at, status = {_of_over("NEW")}
    WHERE run_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER figures
    AFTER UPDATE OF project_id, experiment_id, kind, created_by, created_at, finished_at, status
    ON runs FOR EACH ROW
    WHEN ((OLD.project_id, OLD.experiment_id, OLD.kind, OLD.created_by, OLD.created_at,
        OLD.finished_at, {_of_over("OLD")})
        IS DISTINCT FROM (NEW.project_id, NEW.experiment_id, NEW.kind, NEW.created_by,
        NEW.created_at, NEW.finished_at, {_of_over("NEW")}))
    EXECUTE FUNCTION pricetag_run_figures_moved();
"""

# A row that a trigger writes meanwhile has its user or its status, and is left as it is.
FILL = f"""
UPDATE run_figures AS f SET created_by = r.created_by, status = {_of_over("r")}
FROM runs AS r
WHERE r.id = f.run_id AND r.id > :after AND r.id <= :upto
    AND f.created_by IS NULL AND f.status IS NULL
    AND (r.created_by IS NOT NULL OR r.status NOT IN ('queued', 'running'))
"""

# A run that was queued again while its step read its former status has none. The locks are taken in
# the order of the triggers: first the run, then its figures.
OPEN = """
WITH open_runs AS MATERIALIZED (
    SELECT id FROM runs WHERE status IN ('queued', 'running') ORDER BY id FOR SHARE
)
UPDATE run_figures AS f SET status = NULL FROM open_runs AS r
WHERE f.run_id = r.id AND f.status IS NOT NULL
"""

INDEXES = {
    "ix_run_figures_created_by_it_energy_kwh": "run_figures (created_by, it_energy_kwh, run_id)",
    "ix_run_figures_created_by_cost": "run_figures (created_by, currency, cost, run_id)",
    "ix_run_figures_status_it_energy_kwh": "run_figures (status, it_energy_kwh, run_id)",
    "ix_run_figures_status_cost": "run_figures (status, currency, cost, run_id)",
}


def upgrade() -> None:
    with committed_at_once():
        connection = op.get_bind()
        for script in (COLUMNS, _written(OF_RUN, RUN), MOVED):
            connection.exec_driver_sql(script)
        _fill(connection)
        connection.exec_driver_sql(OPEN)
        for name, definition in INDEXES.items():
            create_index(name, definition)
        # Lists read the indexes alone where the rows are known to be visible.
        connection.exec_driver_sql("VACUUM (ANALYZE) run_figures")


def _fill(connection: sa.Connection) -> None:
    """Gives every row its user and status: those with the smallest ids first."""
    after, done = uuid.UUID(int=0), 0
    last = uuid.UUID(int=2**128 - 1)
    while after != last:
        row = connection.execute(
            sa.text("SELECT id FROM runs WHERE id > :after ORDER BY id OFFSET :step LIMIT 1"),
            {"after": after, "step": STEP - 1},
        ).first()
        upto = last if row is None else row.id
        connection.execute(sa.text(FILL), {"after": after, "upto": upto})
        after, done = upto, done + 1
        log.info("users and status of figures: %d runs have theirs", done * STEP)
        if done % VACUUM_STEPS == 0:
            connection.exec_driver_sql("VACUUM run_figures")


BEFORE = f"""
{_written(OF_RUN_BEFORE, RUN_BEFORE)}
CREATE OR REPLACE FUNCTION pricetag_run_figures_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE run_figures SET project_id = NEW.project_id, experiment_id = NEW.experiment_id,
        kind = NEW.kind, created_at = NEW.created_at, finished_at = NEW.finished_at
    WHERE run_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER figures
    AFTER UPDATE OF project_id, experiment_id, kind, created_at, finished_at ON runs
    FOR EACH ROW
    WHEN ((OLD.project_id, OLD.experiment_id, OLD.kind, OLD.created_at, OLD.finished_at)
        IS DISTINCT FROM
        (NEW.project_id, NEW.experiment_id, NEW.kind, NEW.created_at, NEW.finished_at))
    EXECUTE FUNCTION pricetag_run_figures_moved();
ALTER TABLE run_figures DROP COLUMN created_by, DROP COLUMN status;
"""


def downgrade() -> None:
    op.get_bind().exec_driver_sql(BEFORE)
