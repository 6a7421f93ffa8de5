"""Figures by the minute, which the page shows over a restart as well."""

from __future__ import annotations

import sqlalchemy as sql
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "series_minutes",
        sql.Column("minute", sql.BigInteger(), autoincrement=False, nullable=False),
        sql.Column("is_whole", sql.Boolean(), nullable=False),
        sql.Column("body", sql.LargeBinary(), nullable=False),
        sql.Column("revision", sql.BigInteger(), nullable=False),
        sql.PrimaryKeyConstraint("minute", name="pk_series_minutes"),
    )
    op.create_index("ix_series_minutes_revision", "series_minutes", ["revision"])
    op.bulk_insert(
        sql.table("counters", sql.column("name", sql.Text), sql.column("value", sql.BigInteger)),
        [{"name": "series", "value": 0}],
    )
