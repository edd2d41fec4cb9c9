"""Figures of runs by kind and by experiment, and a row of figures for every run.

Triggers first, then the rows, some thousands at a time, each committed by itself: an interrupted
migration goes on with those that lack a kind.
"""

from __future__ import annotations

import logging
import uuid

import sqlalchemy as sa
from alembic import op

from app.migration_steps import committed_at_once, create_index

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

log = logging.getLogger("pricetag.migrate")

STEP = 10_000
"""Runs of one step."""

VACUUM_STEPS = 10
"""Steps after which the space of old rows is used again."""

COLUMNS = """
ALTER TABLE run_figures ADD COLUMN IF NOT EXISTS experiment_id uuid,
    ADD COLUMN IF NOT EXISTS kind varchar
"""
REQUIRED = """
ALTER TABLE run_figures ALTER COLUMN experiment_id SET NOT NULL, ALTER COLUMN kind SET NOT NULL
"""

OF_RUN = "run_id, project_id, experiment_id, kind, created_at, finished_at"
INSERT = f"INSERT INTO run_figures ({OF_RUN}, version, it_energy_kwh, cost, currency)"
RUN = "r.id, r.project_id, r.experiment_id, r.kind, r.created_at, r.finished_at"
NEWER = """
ON CONFLICT (run_id) DO UPDATE SET version = excluded.version,
    it_energy_kwh = excluded.it_energy_kwh, cost = excluded.cost, currency = excluded.currency
WHERE run_figures.version < excluded.version
"""
FIGURES = f"""
CREATE OR REPLACE FUNCTION pricetag_run_figures() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {INSERT}
    SELECT {RUN}, NEW.version, NEW.it_energy_kwh, NEW.cost, NEW.currency
    FROM runs AS r WHERE r.id = NEW.run_id
    {NEWER};
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION pricetag_run_figures_posted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO run_figures ({OF_RUN}, version) SELECT {RUN}, 0 FROM posted AS r
    ON CONFLICT (run_id) DO NOTHING;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER figures_posted AFTER INSERT ON runs REFERENCING NEW TABLE AS posted
    FOR EACH STATEMENT EXECUTE FUNCTION pricetag_run_figures_posted();

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
"""

# A row that is written meanwhile has its kind, and is left as it is.
FILL = f"""
CREATE OR REPLACE FUNCTION pricetag_fill_run_figures(after uuid, upto uuid) RETURNS void
LANGUAGE sql AS $$
{INSERT}
SELECT {RUN}, coalesce(t.version, 0), t.it_energy_kwh, t.cost, t.currency
FROM runs AS r
LEFT JOIN run_figures AS f ON f.run_id = r.id AND f.kind IS NOT NULL
LEFT JOIN LATERAL (SELECT version, it_energy_kwh, cost, currency FROM price_tags
    WHERE run_id = r.id ORDER BY version DESC LIMIT 1) AS t ON true
WHERE r.id > after AND r.id <= upto AND (f.version IS NULL OR f.version < t.version)
ON CONFLICT (run_id) DO UPDATE SET experiment_id = excluded.experiment_id, kind = excluded.kind,
    version = greatest(run_figures.version, excluded.version),
    it_energy_kwh = CASE WHEN run_figures.version < excluded.version
        THEN excluded.it_energy_kwh ELSE run_figures.it_energy_kwh END,
    cost = CASE WHEN run_figures.version < excluded.version
        THEN excluded.cost ELSE run_figures.cost END,
    currency = CASE WHEN run_figures.version < excluded.version
        THEN excluded.currency ELSE run_figures.currency END
WHERE run_figures.kind IS NULL OR run_figures.version < excluded.version
$$;
CREATE OR REPLACE FUNCTION pricetag_fill_run_figures() RETURNS void LANGUAGE sql AS $$
SELECT pricetag_fill_run_figures('00000000-0000-0000-0000-000000000000',
    'ffffffff-ffff-ffff-ffff-ffffffffffff')
$$;
"""

INDEXES = {
    "ix_run_figures_kind_it_energy_kwh": "run_figures (kind, it_energy_kwh, run_id)",
    "ix_run_figures_kind_cost": "run_figures (kind, currency, cost, run_id)",
    "ix_run_figures_experiment_id_it_energy_kwh": (
        "run_figures (experiment_id, it_energy_kwh, run_id)"
    ),
    "ix_run_figures_experiment_id_cost": "run_figures (experiment_id, currency, cost, run_id)",
}


def upgrade() -> None:
    with committed_at_once():
        connection = op.get_bind()
        for script in (COLUMNS, FIGURES, FILL):
            connection.exec_driver_sql(script)
        _fill(connection)
        connection.exec_driver_sql(REQUIRED)
        for name, definition in INDEXES.items():
            create_index(name, definition)
        # Lists read the indexes alone where the rows are known to be visible.
        connection.exec_driver_sql("VACUUM (ANALYZE) run_figures")


def _fill(connection: sa.Connection) -> None:
    """Gives every run its row: those with the smallest ids first."""
    after, done = uuid.UUID(int=0), 0
    last = uuid.UUID(int=2**128 - 1)
    while after != last:
        row = connection.execute(
            sa.text("SELECT id FROM runs WHERE id > :after ORDER BY id OFFSET :step LIMIT 1"),
            {"after": after, "step": STEP - 1},
        ).first()
        upto = last if row is None else row.id
        connection.execute(
            sa.text("SELECT pricetag_fill_run_figures(:after, :upto)"),
            {"after": after, "upto": upto},
        )
        after, done = upto, done + 1
        log.info("figures of runs: up to %d runs are done", done * STEP)
        if done % VACUUM_STEPS == 0:
            connection.exec_driver_sql("VACUUM run_figures")


BEFORE = f"""
DROP TRIGGER figures_posted ON runs;
DROP FUNCTION pricetag_run_figures_posted();
DROP FUNCTION pricetag_fill_run_figures(uuid, uuid);
DELETE FROM run_figures WHERE NOT EXISTS
    (SELECT FROM price_tags WHERE price_tags.run_id = run_figures.run_id);
ALTER TABLE run_figures DROP COLUMN experiment_id, DROP COLUMN kind;

CREATE OR REPLACE FUNCTION pricetag_run_figures() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO run_figures (run_id, project_id, created_at, finished_at, version, it_energy_kwh,
        cost, currency)
    SELECT r.id, r.project_id, r.created_at, r.finished_at, NEW.version, NEW.it_energy_kwh,
        NEW.cost, NEW.currency
    FROM runs AS r WHERE r.id = NEW.run_id
    {NEWER};
    RETURN NULL;
END
$$;
CREATE OR REPLACE FUNCTION pricetag_run_figures_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE run_figures SET project_id = NEW.project_id, created_at = NEW.created_at,
        finished_at = NEW.finished_at
    WHERE run_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER figures AFTER UPDATE OF project_id, created_at, finished_at ON runs
    FOR EACH ROW
    WHEN ((OLD.project_id, OLD.created_at, OLD.finished_at)
        IS DISTINCT FROM (NEW.project_id, NEW.created_at, NEW.finished_at))
    EXECUTE FUNCTION pricetag_run_figures_moved();
CREATE OR REPLACE FUNCTION pricetag_fill_run_figures() RETURNS void LANGUAGE sql AS $$
INSERT INTO run_figures (run_id, project_id, created_at, finished_at, version, it_energy_kwh,
    cost, currency)
SELECT r.id, r.project_id, r.created_at, r.finished_at, t.version, t.it_energy_kwh, t.cost,
    t.currency
FROM (
    SELECT DISTINCT ON (run_id) run_id, version, it_energy_kwh, cost, currency
    FROM price_tags ORDER BY run_id, version DESC
) AS t JOIN runs AS r ON r.id = t.run_id
{NEWER};
$$;
"""


def downgrade() -> None:
    op.get_bind().exec_driver_sql(BEFORE)
