"""The first form: the fleet, what was heard of it, plans, access, telemetry."""

from __future__ import annotations

import sqlalchemy as sql
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_tokens",
        sql.Column("token_sha256", sql.Text(), nullable=False),
        sql.Column("name", sql.Text(), nullable=False),
        sql.Column("role", sql.Text(), nullable=False),
        sql.Column("made_wall_s", sql.Double(), nullable=False),
        sql.Column("until_wall_s", sql.Double(), nullable=False),
        sql.Column("revoked_wall_s", sql.Double(), nullable=True),
        sql.PrimaryKeyConstraint("token_sha256", name="pk_api_tokens"),
        sql.UniqueConstraint("name", name="uq_api_tokens_name"),
    )
    op.create_table(
        "audit",
        sql.Column(
            "id",
            sql.BigInteger().with_variant(sql.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sql.Column("wall_s", sql.Double(), nullable=False),
        sql.Column("actor", sql.Text(), nullable=False),
        sql.Column("action", sql.Text(), nullable=False),
        sql.Column("subject", sql.Text(), nullable=False),
        sql.Column("before", sql.Text(), nullable=False),
        sql.Column("after", sql.Text(), nullable=False),
        sql.PrimaryKeyConstraint("id", name="pk_audit"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "counters",
        sql.Column("name", sql.Text(), nullable=False),
        sql.Column("value", sql.BigInteger(), server_default="0", nullable=False),
        sql.PrimaryKeyConstraint("name", name="pk_counters"),
    )
    op.create_table(
        "demand",
        sql.Column("from_wall_s", sql.BigInteger(), nullable=False),
        sql.Column("edge", sql.Text(), nullable=False),
        sql.Column("title", sql.Text(), nullable=False),
        sql.Column("rendition", sql.Text(), nullable=False),
        sql.Column("client_bytes", sql.BigInteger(), server_default="0", nullable=False),
        sql.Column("resident_bytes", sql.BigInteger(), server_default="0", nullable=False),
        sql.Column("origin_bytes", sql.BigInteger(), server_default="0", nullable=False),
        sql.Column("head_bytes", sql.BigInteger(), server_default="0", nullable=False),
        sql.Column("session_count", sql.BigInteger(), server_default="0", nullable=False),
        sql.PrimaryKeyConstraint("from_wall_s", "edge", "title", "rendition", name="pk_demand"),
    )
    op.create_table(
        "edge_plans",
        sql.Column("plan_id", sql.Text(), nullable=False),
        sql.Column("edge", sql.Text(), nullable=False),
        sql.Column("signed", sql.LargeBinary(), nullable=False),
        sql.PrimaryKeyConstraint("plan_id", "edge", name="pk_edge_plans"),
    )
    op.create_table(
        "edges",
        sql.Column("edge", sql.Text(), nullable=False),
        sql.Column("profile", sql.LargeBinary(), nullable=False),
        sql.Column("duty", sql.Text(), nullable=False),
        sql.Column("serial", sql.Text(), nullable=False),
        sql.Column("enrolled_wall_s", sql.Double(), nullable=False),
        sql.Column("changed_wall_s", sql.Double(), nullable=False),
        sql.Column("revoked", sql.Boolean(), nullable=False),
        sql.Column("note", sql.Text(), nullable=False),
        sql.PrimaryKeyConstraint("edge", name="pk_edges"),
    )
    op.create_table(
        "enrol_tokens",
        sql.Column("token_sha256", sql.Text(), nullable=False),
        sql.Column("edge", sql.Text(), nullable=False),
        sql.Column("made_wall_s", sql.Double(), nullable=False),
        sql.Column("until_wall_s", sql.Double(), nullable=False),
        sql.Column("by", sql.Text(), nullable=False),
        sql.Column("taken_wall_s", sql.Double(), nullable=True),
        sql.Column("taken_by", sql.Text(), nullable=False),
        sql.PrimaryKeyConstraint("token_sha256", name="pk_enrol_tokens"),
    )
    op.create_table(
        "heartbeats",
        sql.Column("edge", sql.Text(), nullable=False),
        sql.Column("boot_id", sql.Text(), nullable=False),
        sql.Column("sequence_no", sql.BigInteger(), server_default="0", nullable=False),
        sql.Column("received_wall_s", sql.Double(), nullable=False),
        sql.Column("origin_id", sql.Text(), nullable=False),
        sql.Column("body", sql.LargeBinary(), nullable=False),
        sql.Column("revision", sql.BigInteger(), nullable=False),
        sql.Column("held_id", sql.Text(), nullable=False),
        sql.Column("held", sql.LargeBinary(), nullable=True),
        sql.Column("held_revision", sql.BigInteger(), server_default="0", nullable=False),
        sql.PrimaryKeyConstraint("edge", name="pk_heartbeats"),
    )
    op.create_index("ix_heartbeats_revision", "heartbeats", ["revision"], unique=False)
    op.create_table(
        "leases",
        sql.Column("name", sql.Text(), nullable=False),
        sql.Column("holder", sql.Text(), nullable=False),
        sql.Column("until_wall_s", sql.Double(), nullable=False),
        sql.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    op.create_table(
        "observations",
        sql.Column("observer", sql.Text(), nullable=False),
        sql.Column("edge", sql.Text(), nullable=False),
        sql.Column("is_up", sql.Boolean(), nullable=False),
        sql.Column("failure_count", sql.BigInteger(), server_default="0", nullable=False),
        sql.Column("rtt_ms", sql.Double(), nullable=True),
        sql.Column("seen_wall_s", sql.Double(), nullable=False),
        sql.Column("origin_id", sql.Text(), nullable=False),
        sql.Column("revision", sql.BigInteger(), nullable=False),
        sql.PrimaryKeyConstraint("observer", "edge", name="pk_observations"),
    )
    op.create_index("ix_observations_revision", "observations", ["revision"], unique=False)
    op.create_table(
        "plans",
        sql.Column("plan_id", sql.Text(), nullable=False),
        sql.Column("made_wall_s", sql.Double(), nullable=False),
        sql.Column("valid_from_wall_s", sql.Double(), nullable=False),
        sql.Column("valid_until_wall_s", sql.Double(), nullable=False),
        sql.Column("state", sql.Text(), nullable=False),
        sql.Column("applied_wall_s", sql.Double(), nullable=True),
        sql.Column("summary", sql.LargeBinary(), nullable=False),
        sql.PrimaryKeyConstraint("plan_id", name="pk_plans"),
    )
    op.create_index(
        "ix_plans_applied",
        "plans",
        ["state"],
        unique=True,
        sqlite_where=sql.text("state = 'applied'"),
        postgresql_where=sql.text("state = 'applied'"),
    )
    op.create_table(
        "secrets",
        sql.Column("name", sql.Text(), nullable=False),
        sql.Column("value", sql.LargeBinary(), nullable=False),
        sql.PrimaryKeyConstraint("name", name="pk_secrets"),
    )
    op.create_table(
        "sessions",
        sql.Column("from_wall_s", sql.BigInteger(), nullable=False),
        sql.Column("edge", sql.Text(), nullable=False),
        sql.Column("title", sql.Text(), nullable=False),
        sql.Column("session_count", sql.BigInteger(), server_default="0", nullable=False),
        sql.Column("watched_s", sql.Double(), server_default="0", nullable=False),
        sql.Column("duration_s", sql.Double(), server_default="0", nullable=False),
        sql.Column("startup_s", sql.Double(), server_default="0", nullable=False),
        sql.Column("startup_count", sql.BigInteger(), server_default="0", nullable=False),
        sql.Column("stall_count", sql.BigInteger(), server_default="0", nullable=False),
        sql.Column("bitrate_kbps", sql.Double(), server_default="0", nullable=False),
        sql.Column("bitrate_count", sql.BigInteger(), server_default="0", nullable=False),
        sql.Column("error_count", sql.BigInteger(), server_default="0", nullable=False),
        sql.PrimaryKeyConstraint("from_wall_s", "edge", "title", name="pk_sessions"),
    )
    op.create_table(
        "telemetry_cursors",
        sql.Column("edge", sql.Text(), nullable=False),
        sql.Column("boot_id", sql.Text(), nullable=False),
        sql.Column("segment_no", sql.BigInteger(), autoincrement=False, nullable=False),
        sql.Column("offset_bytes", sql.BigInteger(), server_default="0", nullable=False),
        sql.Column("changed_wall_s", sql.Double(), nullable=False),
        sql.PrimaryKeyConstraint("edge", "boot_id", "segment_no", name="pk_telemetry_cursors"),
    )
    op.create_index(
        "ix_telemetry_cursors_changed_wall_s", "telemetry_cursors", ["changed_wall_s"], unique=False
    )
    op.create_table(
        "wanted_next",
        sql.Column("from_wall_s", sql.BigInteger(), nullable=False),
        sql.Column("edge", sql.Text(), nullable=False),
        sql.Column("title", sql.Text(), nullable=False),
        sql.Column("session_count", sql.BigInteger(), server_default="0", nullable=False),
        sql.PrimaryKeyConstraint("from_wall_s", "edge", "title", name="pk_wanted_next"),
    )
    names = ("edges", "heartbeats", "observations", "plans", "access")
    op.bulk_insert(
        sql.table("counters", sql.column("name", sql.Text), sql.column("value", sql.BigInteger)),
        [{"name": name, "value": 0} for name in names],
    )
