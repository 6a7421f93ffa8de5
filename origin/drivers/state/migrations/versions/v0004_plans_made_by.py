"""Who made a plan, and ways to what was heard about one title."""

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
    op.create_index("ix_sessions_title", "sessions", ["title", "from_wall_s"])
