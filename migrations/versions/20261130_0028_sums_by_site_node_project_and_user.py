"""Sums of the energy account by site, node, project and user, hour by hour.

First the column by which the former version folds is replaced, so that a server of that version
that still runs stops folding: it would not maintain the new sums. Requests are answered as
before. The sums of each month are then written in one transaction; an interrupted migration goes
on with the months that have none.
"""

from __future__ import annotations

import logging
from datetime import UTC, timedelta

import sqlalchemy as sa
from alembic import op

from app.migration_steps import committed_at_once

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

log = logging.getLogger("pricetag.migrate")

PARENTS = """
ALTER TABLE energy_series ADD COLUMN IF NOT EXISTS parents integer[] NOT NULL DEFAULT '{}',
    DROP COLUMN IF EXISTS parent_id
"""

SERIES = """
INSERT INTO energy_series (scope, node_name, site, project_id, user_id,
    kind, name, method, gain_std_ratio)
SELECT DISTINCT p.scope, CASE p.scope WHEN 'node' THEN s.node_name END,
    CASE p.scope WHEN 'site' THEN s.site END, CASE p.scope WHEN 'project' THEN s.project_id END,
    CASE p.scope WHEN 'user' THEN s.user_id END, s.kind, s.name, s.method, s.gain_std_ratio
FROM energy_series AS s JOIN (VALUES ('component', 'site'), ('component', 'node'),
    ('charge', 'project'), ('charge', 'user'), ('charge', 'charges')) AS p (child, scope)
    ON p.child = s.scope
ON CONFLICT DO NOTHING
"""

# In the order of the parents' list: of components and of charges.
NAMED = """
WITH wanted AS (
    SELECT s.id, p.place, p.scope, s.kind, s.name, s.method, s.gain_std_ratio,
        coalesce(CASE p.scope WHEN 'node' THEN s.node_name WHEN 'site' THEN s.site
            WHEN 'project' THEN s.project_id::text WHEN 'user' THEN s.user_id::text
            WHEN 'lab-charge' THEN concat_ws(' ', s.project_id, s.user_id) END, '') AS whose
    FROM energy_series AS s JOIN (VALUES ('component', 1, 'lab'), ('component', 2, 'site'),
        ('component', 3, 'node'), ('charge', 1, 'lab-charge'), ('charge', 2, 'project'),
        ('charge', 3, 'user'), ('charge', 4, 'charges')) AS p (child, place, scope)
        ON p.child = s.scope
    WHERE s.parents = '{}'
), parent AS MATERIALIZED (
    SELECT id, scope, kind, name, method, gain_std_ratio,
        CASE scope WHEN 'lab-charge' THEN concat_ws(' ', project_id, user_id)
            ELSE coalesce(node_name, site, project_id::text, user_id::text, '') END AS whose
    FROM energy_series WHERE scope NOT IN ('component', 'charge')
), named AS (
    SELECT w.id, array_agg(p.id ORDER BY w.place) AS parents
    FROM wanted AS w
    JOIN parent AS p USING (scope, kind, name, method, gain_std_ratio, whose) GROUP BY w.id
)
UPDATE energy_series AS s SET parents = named.parents FROM named WHERE s.id = named.id
"""

MONTHS = """
SELECT DISTINCT start FROM energy_rollup_months WHERE start NOT IN (
    SELECT done.start FROM energy_rollup_months AS done
    JOIN energy_series AS s ON s.id = done.series_id WHERE s.scope IN ('node', 'charges'))
ORDER BY start
"""

MEASURES = (
    "hours",
    "unmetered_hours",
    "open_hours",
    "undecided_hours",
    "charged_j",
    "running_j",
    "unallocated_j",
    "undecided_j",
    "overallocated_j",
)


LIST = ", ".join(MEASURES)
ADDED_UP = ", ".join(f"sum(r.{name})" for name in MEASURES)


def _filled(level: str) -> str:
    """Adds up the sums of a month; the first parent of a series has its own already."""
    return f"""
    INSERT INTO energy_rollup_{level} (series_id, start, {LIST})
    SELECT parent.id, r.start, {ADDED_UP}
    FROM energy_rollup_{level} AS r JOIN energy_series AS s ON s.id = r.series_id
    CROSS JOIN unnest(s.parents[2:]) AS parent (id)
    WHERE r.start >= :month AND r.start < :end
    GROUP BY 1, 2 HAVING sum(r.hours) > 0
    ORDER BY 2, 1
    ON CONFLICT DO NOTHING
    """


FILL = f"""
WITH by_hour AS ({_filled("hours")}), by_day AS ({_filled("days")})
{_filled("months")}
"""


def upgrade() -> None:
    with committed_at_once():
        connection = op.get_bind()
        connection.exec_driver_sql(PARENTS)
        connection.exec_driver_sql(SERIES)
        connection.exec_driver_sql(NAMED)
        starts = connection.execute(sa.text(MONTHS)).scalars().all()
        months = [start.astimezone(UTC) for start in starts]
        for number, month in enumerate(months, 1):
            end = (month + timedelta(days=31)).replace(day=1)
            connection.execute(sa.text(FILL), {"month": month, "end": end})
            log.info("sums by site, node, project and user: %d of %d", number, len(months))
        for table in ("series", "rollup_hours", "rollup_days", "rollup_months"):
            connection.exec_driver_sql(f"VACUUM (ANALYZE) energy_{table}")


NEW = "SELECT id FROM energy_series WHERE scope IN ('site', 'node', 'project', 'user', 'charges')"
BEFORE = f"""
DELETE FROM energy_rollup_hours WHERE series_id IN ({NEW});
DELETE FROM energy_rollup_days WHERE series_id IN ({NEW});
DELETE FROM energy_rollup_months WHERE series_id IN ({NEW});
DELETE FROM energy_series WHERE id IN ({NEW});
ALTER TABLE energy_series ADD COLUMN parent_id integer
    CONSTRAINT fk_energy_series_parent_id_energy_series REFERENCES energy_series (id);
UPDATE energy_series SET parent_id = parents[1];
ALTER TABLE energy_series DROP COLUMN parents;
"""


def downgrade() -> None:
    op.get_bind().exec_driver_sql(BEFORE)
