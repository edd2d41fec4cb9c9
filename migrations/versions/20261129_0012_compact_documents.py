"""Price tags and reports in a tenth of their size, with columns for the totals of a price tag.

Each table is written anew beside the old one, some rows at a time, while the old one is in use;
at last the two change places under a lock. An interrupted migration goes on behind the last row
that it wrote. A document is replaced only after it was decoded again and found unchanged.
"""

from __future__ import annotations

from app.document_migration import Rewrite, change_places, fill, write_json_again
from app.migration_steps import committed_at_once

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def _value(path: str) -> str:
    return f"(content #>> '{{{path},value}}')::double precision"


PRICE_TAGS = Rewrite(
    name="price_tags",
    create="""
    CREATE TABLE IF NOT EXISTS price_tags_new (
        id uuid NOT NULL CONSTRAINT pk_price_tags_new PRIMARY KEY,
        created_at timestamptz NOT NULL,
        run_id uuid NOT NULL CONSTRAINT fk_price_tags_new_run_id_runs
            REFERENCES runs (id) ON DELETE CASCADE,
        version integer NOT NULL,
        accounting_version varchar NOT NULL,
        cause varchar NOT NULL,
        as_of timestamptz,
        duration_s double precision,
        it_energy_kwh double precision,
        facility_energy_kwh double precision,
        co2e_kg double precision,
        cost double precision,
        currency varchar,
        content bytea STORAGE EXTERNAL NOT NULL,
        content_sha256 varchar NOT NULL,
        CONSTRAINT uq_price_tags_new_run_id_version UNIQUE (run_id, version)
    );
    CREATE INDEX IF NOT EXISTS ix_price_tags_new_created_at ON price_tags_new (created_at);
    """,
    copied=(
        *("id", "created_at", "run_id", "version", "accounting_version", "cause", "as_of"),
        "content_sha256",
    ),
    document="content",
    derived={
        "duration_s": _value("duration_s"),
        "it_energy_kwh": _value("it_energy_kwh"),
        "facility_energy_kwh": _value("facility_energy_kwh"),
        "co2e_kg": _value("co2e_kg"),
        "cost": _value("cost,total"),
        "currency": "content #>> '{cost,currency}'",
    },
    constraints=("pk_price_tags", "fk_price_tags_run_id_runs", "uq_price_tags_run_id_version"),
)

REPORTS = Rewrite(
    name="reports",
    create="""
    CREATE TABLE IF NOT EXISTS reports_new (
        id uuid NOT NULL CONSTRAINT pk_reports_new PRIMARY KEY,
        created_at timestamptz NOT NULL,
        title varchar NOT NULL,
        profile varchar NOT NULL,
        context bytea STORAGE EXTERNAL NOT NULL,
        content_sha256 varchar NOT NULL,
        created_by uuid CONSTRAINT fk_reports_new_created_by_users REFERENCES users (id)
    );
    CREATE INDEX IF NOT EXISTS ix_reports_new_created_at ON reports_new (created_at);
    """,
    copied=("id", "created_at", "title", "profile", "content_sha256", "created_by"),
    document="context",
    derived={},
    constraints=("pk_reports", "fk_reports_created_by_users"),
    detach="ALTER TABLE report_projects DROP CONSTRAINT fk_report_projects_report_id_reports",
    attach="ALTER TABLE report_projects ADD CONSTRAINT fk_report_projects_report_id_reports"
    " FOREIGN KEY (report_id) REFERENCES reports (id) ON DELETE CASCADE",
)


def upgrade() -> None:
    for table in (PRICE_TAGS, REPORTS):
        with committed_at_once():
            fill(table)
    # One transaction, with the number of this revision: both tables are new, or both are old.
    for table in (PRICE_TAGS, REPORTS):
        change_places(table)


def downgrade() -> None:
    for table in (PRICE_TAGS, REPORTS):
        write_json_again(table)
