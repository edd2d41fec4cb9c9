"""SQL that evaluates node hours: energy charged, unallocated, or not known yet.

The only place with these rules. The account evaluates pending hours by them, folding the hours that
it adds to the roll-ups, and the check every hour. Energies are summed as decimals of the shortest
text of each stored double, so that a sum is the same in every order, to the last digit.
"""

from __future__ import annotations

from pricetag.accounting.bill.node_account import READ_EVERY_S, REPORTED_EVERY_S

JOULES = ("charged_j", "running_j", "unallocated_j", "undecided_j", "overallocated_j")
"""The parts of a total, and the excess of charges over it."""

COUNTS = ("hours", "unmetered_hours", "open_hours", "undecided_hours")
"""Numbers of component-hours: all, and by state. Those awaited are never rolled up."""

MEASURES = (*COUNTS, *JOULES)

PRODUCT = ("kind", "name", "method", "gain_std_ratio")
"""Columns of which equal ones share the error of their meter."""

VALUES = {"edge_s": READ_EVERY_S, "late_s": REPORTED_EVERY_S}
"""Parameters of ``JUDGED`` beside ``now`` (null for the database's clock)."""

EXACT_J = "h.energy_j::text::numeric"

# One slot is one component in one hour: the node's own row beside those of attempts, which are
# final once the attempt has ended. An hour of which the node's meter saw less than a run's is as
# good as not metered; beside a running run it may just be late. Hours that a running run has not
# reported yet cannot be divided. Nor can the present hour while the node's total, which comes
# late, has not caught up with a run that ended.
JUDGED = f"""
    open_parts AS MATERIALIZED (
      SELECT a.id, a.node_name, date_trunc('hour', a.started_at, 'UTC') AS since, part.component
      FROM attempts AS a
      LEFT JOIN LATERAL (
        SELECT one.value ->> 'id' AS component FROM jsonb_array_elements(a.components) AS one
      ) AS part ON true
      WHERE a.ended_at IS NULL
    ), open_attempts AS MATERIALIZED (
      SELECT DISTINCT id FROM open_parts
    ), reported AS (
      SELECT h.node_name, h.component, h.hour, h.kind, h.name, h.method, h.gain_std_ratio, h.site,
        h.attempt_id, h.covered_s, {EXACT_J} AS energy_j,
        h.attempt_id IS NULL AS own, o.id IS NOT NULL AS going
      FROM chosen_hours AS c
      JOIN energy_hours AS h ON h.hour = c.hour AND h.node_name = c.node_name
      LEFT JOIN open_attempts AS o ON o.id = h.attempt_id
    ), slots AS MATERIALIZED (
      SELECT
        node_name, component, hour, min(kind) AS kind,
        coalesce(min(name) FILTER (WHERE own), min(name)) AS name,
        coalesce(min(site) FILTER (WHERE own), min(site)) AS site,
        CASE max(array_position(ARRAY['counter', 'integrated', 'modelled'], method::text))
          WHEN 1 THEN 'counter' WHEN 2 THEN 'integrated' ELSE 'modelled' END AS method,
        max(gain_std_ratio) AS gain_std_ratio,
        max(energy_j) FILTER (WHERE own) AS metered_j,
        max(covered_s) FILTER (WHERE own) AS metered_s,
        coalesce(sum(energy_j) FILTER (WHERE NOT own AND NOT going), 0) AS charged_j,
        coalesce(sum(energy_j) FILTER (WHERE going), 0) AS running_j,
        coalesce(sum(energy_j) FILTER (WHERE NOT own), 0) AS claimed_j,
        max(covered_s) FILTER (WHERE NOT own) AS claimed_s,
        array_agg(attempt_id) FILTER (WHERE going) AS going
      FROM reported
      GROUP BY node_name, component, hour
    ), silent_slots AS (
      SELECT DISTINCT s.node_name, s.component, s.hour
      FROM slots AS s
      JOIN open_parts AS o ON o.node_name = s.node_name AND s.hour >= o.since
        AND (o.component IS NULL OR o.component = s.component)
      WHERE s.going IS NULL OR o.id <> ALL(s.going)
    ), metered AS (
      SELECT slots.*, q.hour IS NOT NULL AS silent,
        metered_j IS NULL OR (metered_j < claimed_j AND claimed_s
          > metered_s + CASE WHEN going IS NULL THEN CAST(:edge_s AS float8)
              ELSE CAST(:late_s AS float8) END) AS unmetered
      FROM slots LEFT JOIN silent_slots AS q USING (node_name, component, hour)
    ), divided AS (
      SELECT metered.*,
        going IS NOT NULL OR silent AS open,
        unmetered AND extract(epoch FROM coalesce(CAST(:now AS timestamptz), now()) - hour)
          < least(coalesce(metered_s, 0), 3600) + CAST(:late_s AS float8) AS awaited,
        CASE WHEN unmetered THEN 0
             WHEN going IS NOT NULL THEN greatest(metered_j - claimed_j, 0)
             ELSE metered_j - claimed_j END AS rest_j
      FROM metered
    ), judged AS (
      SELECT node_name, component, site, hour, kind, name, method, gain_std_ratio,
        1 AS hours,
        (unmetered AND NOT awaited)::int AS unmetered_hours,
        (open AND NOT unmetered)::int AS open_hours,
        (silent AND NOT unmetered)::int AS undecided_hours,
        awaited::int AS awaited_hours,
        charged_j, running_j,
        CASE WHEN silent THEN 0 ELSE rest_j END AS unallocated_j,
        CASE WHEN silent THEN rest_j ELSE 0 END AS undecided_j,
        CASE WHEN unmetered THEN 0
             WHEN charged_j - metered_j
               > CAST(:edge_s AS float8) * metered_j / nullif(metered_s, 0)
               OR (charged_j > metered_j AND metered_s = 0)
             THEN charged_j - metered_j ELSE 0 END AS overallocated_j
      FROM divided
    )
"""
"""CTEs from ``chosen_hours`` (node_name, hour) to ``judged``: one row a component and hour."""

CHARGED = f"""
    attempt_hours AS (
      SELECT h.node_name, h.attempt_id, h.hour, h.kind, h.name, h.method, h.gain_std_ratio,
        count(*) AS hours, sum({EXACT_J}) AS energy_j
      FROM chosen_hours AS c
      JOIN energy_hours AS h ON h.hour = c.hour AND h.node_name = c.node_name
      WHERE h.attempt_id IS NOT NULL
      GROUP BY 1, 2, 3, 4, 5, 6, 7
    ), charged AS (
      SELECT h.node_name, o.project_id, o.user_id, h.hour,
        h.kind, h.name, h.method, h.gain_std_ratio,
        CAST(sum(h.hours) AS int) AS hours, 0 AS unmetered_hours,
        CAST(coalesce(sum(h.hours) FILTER (WHERE o.going), 0) AS int) AS open_hours,
        0 AS undecided_hours,
        coalesce(sum(h.energy_j) FILTER (WHERE NOT o.going), 0) AS charged_j,
        coalesce(sum(h.energy_j) FILTER (WHERE o.going), 0) AS running_j,
        0 AS unallocated_j, 0 AS undecided_j, 0 AS overallocated_j
      FROM attempt_hours AS h CROSS JOIN LATERAL (
        SELECT r.project_id, r.created_by AS user_id, a.ended_at IS NULL AS going
        FROM attempts AS a JOIN runs AS r ON r.id = a.run_id
        WHERE a.id = h.attempt_id OFFSET 0) AS o
      GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    )
"""
"""CTE ``charged``: charges of the runs of each project and user in ``chosen_hours``."""
