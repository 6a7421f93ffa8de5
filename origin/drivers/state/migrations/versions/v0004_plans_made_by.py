"""Who made a plan, and a way to the demand for one title."""

from __future__ import annotations

import sqlalchemy as sql
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "plans", sql.Column("made_by", sql.Text(), server_default=sql.text("''"), nullable=False)
    )
    op.create_index("ix_demand_title", "demand", ["title", "from_wall_s"])
