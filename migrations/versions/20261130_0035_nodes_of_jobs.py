"""Several open attempts of a run that is a job of a cluster: one for each of its nodes."""

from __future__ import annotations

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

NAME = "uq_attempts_one_open_per_run"


def _replace(condition: str) -> None:
    op.execute(f"DROP INDEX IF EXISTS {NAME}")
    op.execute(f"CREATE UNIQUE INDEX {NAME} ON attempts (run_id) WHERE {condition}")


def upgrade() -> None:
    _replace("ended_at IS NULL AND worker <> 'slurm'")


def downgrade() -> None:
    _replace("ended_at IS NULL")
