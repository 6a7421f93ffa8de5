"""Telemetry: runs of edges, raw events that wait, and the files of the history."""

from __future__ import annotations

import sqlalchemy as sql
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "telemetry_runs",
        sql.Column("edge", sql.Text(), nullable=False),
        sql.Column("boot_id", sql.Text(), nullable=False),
        sql.Column("first_segment_no", sql.BigInteger(), server_default="0", nullable=False),
        sql.Column("changed_wall_s", sql.Double(), nullable=False),
        sql.PrimaryKeyConstraint("edge", "boot_id", name="pk_telemetry_runs"),
    )
    op.create_index("ix_telemetry_runs_changed_wall_s", "telemetry_runs", ["changed_wall_s"])
    op.create_table(
        "telemetry_pieces",
        sql.Column(
            "id",
            sql.BigInteger().with_variant(sql.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sql.Column("edge", sql.Text(), nullable=False),
        sql.Column("boot_id", sql.Text(), nullable=False),
        sql.Column("received_wall_s", sql.Double(), nullable=False),
        sql.Column("event_count", sql.BigInteger(), nullable=False),
        sql.Column("body", sql.LargeBinary(), nullable=False),
        sql.PrimaryKeyConstraint("id", name="pk_telemetry_pieces"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "history_files",
        sql.Column("name", sql.Text(), nullable=False),
        sql.Column("day", sql.Text(), nullable=False),
        sql.Column("event_count", sql.BigInteger(), nullable=False),
        sql.Column("size_bytes", sql.BigInteger(), nullable=False),
        sql.Column("made_wall_s", sql.Double(), nullable=False),
        sql.PrimaryKeyConstraint("name", name="pk_history_files"),
    )
    op.create_index("ix_history_files_day", "history_files", ["day"])
