"""What edges fetched for plans, beside what their viewers took."""

from __future__ import annotations

import sqlalchemy as sql
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "demand",
        sql.Column("planned_bytes", sql.BigInteger(), server_default=sql.text("0"), nullable=False),
    )
