"""Forecasts of carbon intensity, and the starts chosen by them."""

from __future__ import annotations

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE IF NOT EXISTS carbon_forecasts (
    zone varchar NOT NULL,
    signal varchar NOT NULL,
    provider varchar NOT NULL,
    basis varchar NOT NULL,
    source varchar NOT NULL,
    source_url varchar NOT NULL,
    licence varchar NOT NULL,
    issued_at timestamptz,
    g_per_kwh jsonb NOT NULL,
    entered_by uuid CONSTRAINT fk_carbon_forecasts_entered_by_users REFERENCES users (id),
    id uuid NOT NULL CONSTRAINT pk_carbon_forecasts PRIMARY KEY,
    created_at timestamptz NOT NULL,
    CONSTRAINT ck_carbon_forecasts_signal CHECK (signal in ('average', 'marginal'))
);
CREATE INDEX IF NOT EXISTS ix_carbon_forecasts_created_at ON carbon_forecasts (created_at);
CREATE INDEX IF NOT EXISTS ix_carbon_forecasts_zone_signal_created_at
    ON carbon_forecasts (zone, signal, created_at);
CREATE TABLE IF NOT EXISTS green_starts (
    run_id uuid NOT NULL CONSTRAINT pk_green_starts PRIMARY KEY
        CONSTRAINT fk_green_starts_run_id_runs REFERENCES runs (id) ON DELETE CASCADE,
    forecast_id uuid NOT NULL CONSTRAINT fk_green_starts_forecast_id_carbon_forecasts
        REFERENCES carbon_forecasts (id),
    marginal_forecast_id uuid
        CONSTRAINT fk_green_starts_marginal_forecast_id_carbon_forecasts
        REFERENCES carbon_forecasts (id),
    within_h double precision NOT NULL,
    duration_s double precision NOT NULL,
    duration_source varchar NOT NULL,
    earliest timestamptz NOT NULL,
    start timestamptz NOT NULL,
    at_once_g_per_kwh double precision NOT NULL,
    planned_g_per_kwh double precision NOT NULL,
    marginal_at_once_g_per_kwh double precision,
    marginal_planned_g_per_kwh double precision
);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE green_starts, carbon_forecasts")
