"""sites, factors, prices, hourly intensities; budgets, quotes, spend, audit log; energy by hour

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-21 04:06:43.196775+00:00
"""
from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None

APPEND_ONLY = """
CREATE FUNCTION pricetag_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;
"""
APPEND_ONLY_TABLES = ('audit_log', 'factors', 'prices', 'carbon_series', 'carbon_hours')
TRIGGER = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION pricetag_refuse_change();
"""

# What was used before there were budgets, by the newest price tag of each run. Price tags of
# that time have a cost of the run alone: an attempt's part of its electricity is that of its
# facility energy.
SPENT_BEFORE = """
INSERT INTO spend (
    attempt_id, run_id, project_id, experiment_id, token_id, at, price_tag_version,
    it_energy_kwh, facility_energy_kwh, co2e_kg, cost, currency, sources
)
SELECT attempt.id, run.id, run.project_id, run.experiment_id, run.created_by, attempt.ended_at,
    tag.version,
    (part -> 'it_energy_kwh' ->> 'value')::double precision,
    (part -> 'facility_energy_kwh' ->> 'value')::double precision,
    (part -> 'co2e_kg' ->> 'value')::double precision,
    paid.amount,
    CASE WHEN paid.amount IS NOT NULL THEN tag.content -> 'cost' ->> 'currency' END,
    jsonb_strip_nulls(jsonb_build_object(
        'it_energy_kwh', part -> 'it_energy_kwh' ->> 'source',
        'facility_energy_kwh', part -> 'facility_energy_kwh' ->> 'source',
        'co2e_kg', part -> 'co2e_kg' ->> 'source',
        'cost', CASE WHEN paid.amount IS NOT NULL
            THEN tag.content -> 'cost' -> 'electricity' ->> 'source' END
    ))
FROM (
    SELECT DISTINCT ON (run_id) run_id, version, content
    FROM price_tags ORDER BY run_id, version DESC
) AS tag
JOIN runs AS run ON run.id = tag.run_id
CROSS JOIN LATERAL jsonb_array_elements(tag.content -> 'attempts') AS part
JOIN attempts AS attempt
    ON attempt.run_id = run.id AND attempt.number = (part ->> 'number')::integer
CROSS JOIN LATERAL (
    SELECT (tag.content -> 'cost' -> 'electricity' ->> 'value')::numeric
        * (part -> 'facility_energy_kwh' ->> 'value')::numeric
        / nullif((tag.content -> 'facility_energy_kwh' ->> 'value')::numeric, 0) AS amount
) AS paid
WHERE attempt.ended_at IS NOT NULL
"""


def upgrade() -> None:
    op.create_table('baselines',
    sa.Column('node_name', sa.String(), nullable=False),
    sa.Column('component', sa.String(), nullable=False),
    sa.Column('state', sa.String(), nullable=False),
    sa.Column('power_w', sa.Double(), nullable=False),
    sa.Column('power_std_w', sa.Double(), nullable=True),
    sa.Column('duration_s', sa.Double(), nullable=False),
    sa.Column('source', sa.String(), nullable=False),
    sa.Column('measured_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_baselines'))
    )
    op.create_index('uq_baselines_measured', 'baselines', ['node_name', 'component', 'state', 'measured_at'], unique=True)
    op.create_table('budgets',
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('scope', sa.String(), nullable=False),
    sa.Column('scope_id', sa.Uuid(), nullable=True),
    sa.Column('metric', sa.String(), nullable=False),
    sa.Column('currency', sa.String(), nullable=True),
    sa.Column('amount', sa.Numeric(), nullable=False),
    sa.Column('period', sa.String(), nullable=False),
    sa.Column('time_zone', sa.String(), nullable=False),
    sa.Column('thresholds', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('refuses', sa.Boolean(), nullable=False),
    sa.Column('stops', sa.Boolean(), nullable=False),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("(metric = 'cost') = (currency IS NOT NULL)", name=op.f('ck_budgets_currency')),
    sa.CheckConstraint("(scope = 'lab') = (scope_id IS NULL)", name=op.f('ck_budgets_scope_id')),
    sa.CheckConstraint("metric in ('facility_energy_kwh', 'co2e_kg', 'cost')", name=op.f('ck_budgets_metric')),
    sa.CheckConstraint("period in ('total', 'week', 'month', 'quarter', 'year')", name=op.f('ck_budgets_period')),
    sa.CheckConstraint("scope in ('lab', 'project', 'experiment', 'user')", name=op.f('ck_budgets_scope')),
    sa.CheckConstraint('amount >= 0', name=op.f('ck_budgets_amount')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_budgets')),
    sa.UniqueConstraint('name', name=op.f('uq_budgets_name'))
    )
    op.create_index(op.f('ix_budgets_created_at'), 'budgets', ['created_at'], unique=False)
    op.create_table('sites',
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('description', sa.String(), nullable=False),
    sa.Column('grid_zone', sa.String(), nullable=True),
    sa.Column('time_zone', sa.String(), nullable=False),
    sa.Column('currency', sa.String(), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sites')),
    sa.UniqueConstraint('name', name=op.f('uq_sites_name'))
    )
    op.create_index(op.f('ix_sites_created_at'), 'sites', ['created_at'], unique=False)
    op.create_table('audit_log',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('token_id', sa.Uuid(), nullable=True),
    sa.Column('actor', sa.String(), nullable=False),
    sa.Column('action', sa.String(), nullable=False),
    sa.Column('object_kind', sa.String(), nullable=False),
    sa.Column('object_id', sa.String(), nullable=False),
    sa.Column('before', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('after', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.ForeignKeyConstraint(['token_id'], ['tokens.id'], name=op.f('fk_audit_log_token_id_tokens')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_log'))
    )
    op.create_index(op.f('ix_audit_log_at'), 'audit_log', ['at'], unique=False)
    op.create_index('ix_audit_log_object', 'audit_log', ['object_kind', 'object_id'], unique=False)
    op.execute(APPEND_ONLY)
    op.create_table('budget_alerts',
    sa.Column('budget_id', sa.Uuid(), nullable=False),
    sa.Column('period_start', sa.DateTime(timezone=True), nullable=False),
    sa.Column('threshold_ratio', sa.Double(), nullable=False),
    sa.Column('used', sa.Numeric(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['budget_id'], ['budgets.id'], name=op.f('fk_budget_alerts_budget_id_budgets'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('budget_id', 'period_start', 'threshold_ratio', name=op.f('pk_budget_alerts'))
    )
    op.create_index(op.f('ix_budget_alerts_created_at'), 'budget_alerts', ['created_at'], unique=False)
    op.create_table('carbon_series',
    sa.Column('zone', sa.String(), nullable=False),
    sa.Column('basis', sa.String(), nullable=False),
    sa.Column('source', sa.String(), nullable=False),
    sa.Column('source_url', sa.String(), nullable=False),
    sa.Column('licence', sa.String(), nullable=False),
    sa.Column('relative_std_ratio', sa.Double(), nullable=False),
    sa.Column('content_sha256', sa.String(), nullable=False),
    sa.Column('entered_by', sa.Uuid(), nullable=True),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['entered_by'], ['tokens.id'], name=op.f('fk_carbon_series_entered_by_tokens')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_carbon_series'))
    )
    op.create_index(op.f('ix_carbon_series_created_at'), 'carbon_series', ['created_at'], unique=False)
    op.create_index(op.f('ix_carbon_series_zone'), 'carbon_series', ['zone'], unique=False)
    op.create_table('factors',
    sa.Column('site_id', sa.Uuid(), nullable=True),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('subject', sa.String(), nullable=False),
    sa.Column('value', sa.Numeric(), nullable=False),
    sa.Column('unit', sa.String(), nullable=False),
    sa.Column('relative_std_ratio', sa.Double(), nullable=False),
    sa.Column('multiplicative', sa.Boolean(), nullable=False),
    sa.Column('evidence', sa.String(), nullable=False),
    sa.Column('source', sa.String(), nullable=False),
    sa.Column('source_url', sa.String(), nullable=False),
    sa.Column('year', sa.Integer(), nullable=False),
    sa.Column('basis', sa.String(), nullable=False),
    sa.Column('licence', sa.String(), nullable=False),
    sa.Column('details', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('valid_from', sa.DateTime(timezone=True), nullable=False),
    sa.Column('valid_to', sa.DateTime(timezone=True), nullable=True),
    sa.Column('entered_by', sa.Uuid(), nullable=True),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("kind in ('pue', 'wue', 'water_intensity', 'carbon_location', 'carbon_market', 'tariff', 'embodied', 'calibration')", name=op.f('ck_factors_kind')),
    sa.CheckConstraint('valid_to IS NULL OR valid_to > valid_from', name=op.f('ck_factors_valid_range')),
    sa.ForeignKeyConstraint(['entered_by'], ['tokens.id'], name=op.f('fk_factors_entered_by_tokens')),
    sa.ForeignKeyConstraint(['site_id'], ['sites.id'], name=op.f('fk_factors_site_id_sites')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_factors'))
    )
    op.create_index(op.f('ix_factors_created_at'), 'factors', ['created_at'], unique=False)
    op.create_index('ix_factors_kind_subject_site_id', 'factors', ['kind', 'subject', 'site_id'], unique=False)
    op.create_table('prices',
    sa.Column('price_id', sa.String(), nullable=False),
    sa.Column('provider', sa.String(), nullable=False),
    sa.Column('region', sa.String(), nullable=False),
    sa.Column('accelerator', sa.String(), nullable=False),
    sa.Column('unit', sa.String(), nullable=False),
    sa.Column('amount', sa.Numeric(), nullable=False),
    sa.Column('currency', sa.String(), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('source', sa.String(), nullable=False),
    sa.Column('source_url', sa.String(), nullable=False),
    sa.Column('licence', sa.String(), nullable=False),
    sa.Column('details', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('valid_from', sa.DateTime(timezone=True), nullable=False),
    sa.Column('valid_to', sa.DateTime(timezone=True), nullable=True),
    sa.Column('entered_by', sa.Uuid(), nullable=True),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("kind in ('on_demand', 'spot', 'reserved', 'internal')", name=op.f('ck_prices_kind')),
    sa.CheckConstraint('amount >= 0', name=op.f('ck_prices_amount')),
    sa.CheckConstraint('valid_to IS NULL OR valid_to > valid_from', name=op.f('ck_prices_valid_range')),
    sa.ForeignKeyConstraint(['entered_by'], ['tokens.id'], name=op.f('fk_prices_entered_by_tokens')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_prices'))
    )
    op.create_index(op.f('ix_prices_created_at'), 'prices', ['created_at'], unique=False)
    op.create_index('ix_prices_price_id_valid_from', 'prices', ['price_id', 'valid_from'], unique=False)
    op.create_table('carbon_hours',
    sa.Column('series_id', sa.Uuid(), nullable=False),
    sa.Column('hour', sa.DateTime(timezone=True), nullable=False),
    sa.Column('g_per_kwh', sa.Double(), nullable=False),
    sa.CheckConstraint('g_per_kwh >= 0', name=op.f('ck_carbon_hours_g_per_kwh')),
    sa.ForeignKeyConstraint(['series_id'], ['carbon_series.id'], name=op.f('fk_carbon_hours_series_id_carbon_series'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('series_id', 'hour', name=op.f('pk_carbon_hours'))
    )
    op.create_table('quotes',
    sa.Column('run_id', sa.Uuid(), nullable=False),
    sa.Column('method', sa.String(), nullable=False),
    sa.Column('content', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('facility_energy_kwh', sa.Double(), nullable=True),
    sa.Column('co2e_kg', sa.Double(), nullable=True),
    sa.Column('cost', sa.Numeric(), nullable=True),
    sa.Column('currency', sa.String(), nullable=True),
    sa.Column('score', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('scored_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_quotes_run_id_runs'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_quotes')),
    sa.UniqueConstraint('run_id', name=op.f('uq_quotes_run_id'))
    )
    op.create_index(op.f('ix_quotes_created_at'), 'quotes', ['created_at'], unique=False)
    op.create_index(op.f('ix_quotes_scored_at'), 'quotes', ['scored_at'], unique=False)
    op.create_table('outcomes',
    sa.Column('run_id', sa.Uuid(), nullable=False),
    sa.Column('recipe_sha256', sa.String(), nullable=False),
    sa.Column('shape_sha256', sa.String(), nullable=False),
    sa.Column('family_sha256', sa.String(), nullable=False),
    sa.Column('data_sha256', sa.String(), nullable=True),
    sa.Column('model_sha256', sa.String(), nullable=True),
    sa.Column('pool', sa.String(), nullable=False),
    sa.Column('gpus', sa.Integer(), nullable=False),
    sa.Column('site', sa.String(), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('price_tag_version', sa.Integer(), nullable=False),
    sa.Column('duration_s', sa.Double(), nullable=True),
    sa.Column('it_energy_kwh', sa.Double(), nullable=True),
    sa.Column('coverage_ratio', sa.Double(), nullable=True),
    sa.Column('flops', sa.Double(), nullable=True),
    sa.Column('steps', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_outcomes_run_id_runs'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('run_id', name=op.f('pk_outcomes'))
    )
    op.create_index('ix_outcomes_counted', 'outcomes', ['pool', 'gpus', 'ended_at'], unique=False, postgresql_where=sa.text('flops > 0'))
    op.create_index('ix_outcomes_data', 'outcomes', ['data_sha256', 'ended_at'], unique=False)
    op.create_index('ix_outcomes_family', 'outcomes', ['family_sha256', 'pool', 'gpus', 'ended_at'], unique=False)
    op.create_index('ix_outcomes_model', 'outcomes', ['model_sha256', 'ended_at'], unique=False)
    op.create_index('ix_outcomes_pool', 'outcomes', ['pool', 'gpus', 'ended_at'], unique=False)
    op.create_index('ix_outcomes_recipe', 'outcomes', ['recipe_sha256', 'pool', 'gpus', 'ended_at'], unique=False)
    op.create_index('ix_outcomes_shape', 'outcomes', ['shape_sha256', 'pool', 'gpus', 'ended_at'], unique=False)
    op.create_table('energy_hours',
    sa.Column('node_name', sa.String(), nullable=False),
    sa.Column('component', sa.String(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('method', sa.String(), nullable=False),
    sa.Column('gain_std_ratio', sa.Double(), nullable=False),
    sa.Column('hour', sa.DateTime(timezone=True), nullable=False),
    sa.Column('attempt_id', sa.Uuid(), nullable=True),
    sa.Column('site', sa.String(), nullable=True),
    sa.Column('energy_j', sa.Double(), nullable=False),
    sa.Column('covered_s', sa.Double(), nullable=False),
    sa.Column('flags', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.ForeignKeyConstraint(['attempt_id'], ['attempts.id'], name=op.f('fk_energy_hours_attempt_id_attempts'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_energy_hours'))
    )
    op.create_index('ix_energy_hours_attempt_id', 'energy_hours', ['attempt_id'], unique=False)
    op.create_index('ix_energy_hours_hour', 'energy_hours', ['hour'], unique=False)
    op.create_index('uq_energy_hours_slot', 'energy_hours', ['node_name', 'component', 'hour', 'attempt_id'], unique=True, postgresql_nulls_not_distinct=True)
    op.create_table('spend',
    sa.Column('attempt_id', sa.Uuid(), nullable=False),
    sa.Column('run_id', sa.Uuid(), nullable=False),
    sa.Column('project_id', sa.Uuid(), nullable=False),
    sa.Column('experiment_id', sa.Uuid(), nullable=False),
    sa.Column('token_id', sa.Uuid(), nullable=True),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('price_tag_version', sa.Integer(), nullable=False),
    sa.Column('it_energy_kwh', sa.Double(), nullable=True),
    sa.Column('facility_energy_kwh', sa.Double(), nullable=True),
    sa.Column('co2e_kg', sa.Double(), nullable=True),
    sa.Column('cost', sa.Numeric(), nullable=True),
    sa.Column('currency', sa.String(), nullable=True),
    sa.Column('sources', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
    sa.ForeignKeyConstraint(['attempt_id'], ['attempts.id'], name=op.f('fk_spend_attempt_id_attempts'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['experiment_id'], ['experiments.id'], name=op.f('fk_spend_experiment_id_experiments')),
    sa.ForeignKeyConstraint(['project_id'], ['projects.id'], name=op.f('fk_spend_project_id_projects')),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_spend_run_id_runs'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['token_id'], ['tokens.id'], name=op.f('fk_spend_token_id_tokens')),
    sa.PrimaryKeyConstraint('attempt_id', name=op.f('pk_spend'))
    )
    op.create_index('ix_spend_at', 'spend', ['at'], unique=False)
    op.create_index('ix_spend_experiment_id_at', 'spend', ['experiment_id', 'at'], unique=False)
    op.create_index('ix_spend_project_id_at', 'spend', ['project_id', 'at'], unique=False)
    op.create_index(op.f('ix_spend_run_id'), 'spend', ['run_id'], unique=False)
    op.create_index('ix_spend_token_id_at', 'spend', ['token_id', 'at'], unique=False)
    op.execute(SPENT_BEFORE)
    op.add_column('attempts', sa.Column('site', sa.String(), nullable=True))
    op.add_column('attempts', sa.Column('live', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True))
    op.add_column('attempts', sa.Column('meter_opened_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('measurements', sa.Column('device_energy_j', sa.Double(), nullable=True))
    op.add_column('measurements', sa.Column('baseline_j', sa.Double(), nullable=True))
    op.add_column('measurements', sa.Column('energy_by_hour_j', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True))
    op.add_column('nodes', sa.Column('place', sa.String(), nullable=True))
    op.add_column('price_tags', sa.Column('cause', sa.String(), nullable=False, server_default='attempt-ended'))
    op.alter_column('price_tags', 'cause', server_default=None)
    op.add_column('price_tags', sa.Column('as_of', sa.DateTime(timezone=True), nullable=True))
    op.add_column('readings', sa.Column('own_busy_s', sa.Double(), nullable=True))
    op.add_column('readings', sa.Column('all_busy_s', sa.Double(), nullable=True))
    for table in APPEND_ONLY_TABLES:
        op.execute(TRIGGER.format(table=table))


def downgrade() -> None:
    op.drop_column('readings', 'all_busy_s')
    op.drop_column('readings', 'own_busy_s')
    op.drop_column('price_tags', 'as_of')
    op.drop_column('price_tags', 'cause')
    op.drop_column('nodes', 'place')
    op.drop_column('measurements', 'energy_by_hour_j')
    op.drop_column('measurements', 'baseline_j')
    op.drop_column('measurements', 'device_energy_j')
    op.drop_column('attempts', 'meter_opened_at')
    op.drop_column('attempts', 'live')
    op.drop_column('attempts', 'site')
    op.drop_index('ix_spend_token_id_at', table_name='spend')
    op.drop_index(op.f('ix_spend_run_id'), table_name='spend')
    op.drop_index('ix_spend_project_id_at', table_name='spend')
    op.drop_index('ix_spend_experiment_id_at', table_name='spend')
    op.drop_index('ix_spend_at', table_name='spend')
    op.drop_table('spend')
    op.drop_index('uq_energy_hours_slot', table_name='energy_hours', postgresql_nulls_not_distinct=True)
    op.drop_index('ix_energy_hours_hour', table_name='energy_hours')
    op.drop_index('ix_energy_hours_attempt_id', table_name='energy_hours')
    op.drop_table('energy_hours')
    op.drop_index('ix_outcomes_shape', table_name='outcomes')
    op.drop_index('ix_outcomes_recipe', table_name='outcomes')
    op.drop_index('ix_outcomes_pool', table_name='outcomes')
    op.drop_index('ix_outcomes_model', table_name='outcomes')
    op.drop_index('ix_outcomes_family', table_name='outcomes')
    op.drop_index('ix_outcomes_counted', table_name='outcomes', postgresql_where=sa.text('flops > 0'))
    op.drop_index('ix_outcomes_data', table_name='outcomes')
    op.drop_table('outcomes')
    op.drop_index(op.f('ix_quotes_scored_at'), table_name='quotes')
    op.drop_index(op.f('ix_quotes_created_at'), table_name='quotes')
    op.drop_table('quotes')
    op.drop_table('carbon_hours')
    op.drop_index('ix_prices_price_id_valid_from', table_name='prices')
    op.drop_index(op.f('ix_prices_created_at'), table_name='prices')
    op.drop_table('prices')
    op.drop_index('ix_factors_kind_subject_site_id', table_name='factors')
    op.drop_index(op.f('ix_factors_created_at'), table_name='factors')
    op.drop_table('factors')
    op.drop_index(op.f('ix_carbon_series_zone'), table_name='carbon_series')
    op.drop_index(op.f('ix_carbon_series_created_at'), table_name='carbon_series')
    op.drop_table('carbon_series')
    op.drop_index(op.f('ix_budget_alerts_created_at'), table_name='budget_alerts')
    op.drop_table('budget_alerts')
    op.drop_index('ix_audit_log_object', table_name='audit_log')
    op.drop_index(op.f('ix_audit_log_at'), table_name='audit_log')
    op.drop_table('audit_log')
    op.drop_index(op.f('ix_sites_created_at'), table_name='sites')
    op.drop_table('sites')
    op.drop_index(op.f('ix_budgets_created_at'), table_name='budgets')
    op.drop_table('budgets')
    op.drop_index('uq_baselines_measured', table_name='baselines')
    op.drop_table('baselines')
    op.execute('DROP FUNCTION pricetag_refuse_change()')
