"""Lists of runs in the order of their energy or their cost.

The figures are in columns since revision 0012; price tags are issued while the indexes are built.
"""

from __future__ import annotations

from app.migration_steps import committed_at_once, create_index, drop_index

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_price_tags_it_energy_kwh_run_id": (
        "price_tags (it_energy_kwh, run_id) WHERE it_energy_kwh IS NOT NULL"
    ),
    "ix_price_tags_currency_cost_run_id": (
        "price_tags (currency, cost, run_id) WHERE cost IS NOT NULL"
    ),
}


def upgrade() -> None:
    with committed_at_once():
        for name, definition in INDEXES.items():
            create_index(name, definition)


def downgrade() -> None:
    with committed_at_once():
        for name in INDEXES:
            drop_index(name)
