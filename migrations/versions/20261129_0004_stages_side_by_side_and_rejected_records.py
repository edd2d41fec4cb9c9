"""Stages that share energy, steps beyond 2^31, and records that were rejected."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "attempts",
        sa.Column("shares_overlaps", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.alter_column("attempts", "shares_overlaps", server_default=None)
    flags = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
    op.add_column("stages", sa.Column("flags", flags, nullable=False, server_default="[]"))
    op.alter_column("stages", "flags", server_default=None)
    op.alter_column("metrics", "step", type_=sa.BigInteger(), existing_type=sa.Integer())
    op.create_table(
        "rejected_records",
        sa.Column("attempt_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("record", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt_id"],
            ["attempts.id"],
            name=op.f("fk_rejected_records_attempt_id_attempts"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("attempt_id", "seq", name=op.f("pk_rejected_records")),
    )


def downgrade() -> None:
    op.drop_table("rejected_records")
    op.execute("UPDATE metrics SET step = NULL WHERE abs(step) > 2147483647")
    op.alter_column("metrics", "step", type_=sa.Integer(), existing_type=sa.BigInteger())
    op.drop_column("stages", "flags")
    op.drop_column("attempts", "shares_overlaps")
