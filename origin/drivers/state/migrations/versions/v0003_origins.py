"""Which origins there are, and the certificate an edge had before the one it has."""

from __future__ import annotations

import sqlalchemy as sql
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "edges",
        sql.Column("serial_before", sql.Text(), server_default=sql.text("''"), nullable=False),
    )
    op.create_table(
        "origins",
        sql.Column("origin_id", sql.Text(), nullable=False),
        sql.Column("fleet_url", sql.Text(), nullable=False),
        sql.Column("started_wall_s", sql.Double(), nullable=False),
        sql.Column("seen_wall_s", sql.Double(), nullable=False),
        sql.PrimaryKeyConstraint("origin_id", name="pk_origins"),
    )
