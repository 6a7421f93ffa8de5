"""The tables of the control state; `migrations/` brings a database to this form.

Wall times are seconds (double), sizes are bytes (64 bits). `counters` holds one growing number a
kind of record. Whoever changes records of a kind counts it up *first* in the same transaction: the
row's lock puts writers in a line, so revisions become visible in order and a reader that asks for
"what is newer than revision N" misses nothing, which a sequence would not promise.
"""

from __future__ import annotations

import sqlalchemy as sql

# Names for constraints: a migration must be able to speak of them, on any database.
metadata = sql.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _wall_s(name: str, *, nullable: bool = False) -> sql.Column[float]:
    return sql.Column(name, sql.Double, nullable=nullable)


def _text(name: str, *, primary_key: bool = False) -> sql.Column[str]:
    return sql.Column(name, sql.Text, nullable=False, primary_key=primary_key)


def _count(name: str) -> sql.Column[int]:
    return sql.Column(name, sql.BigInteger, nullable=False, server_default="0")


counters = sql.Table("counters", metadata, _text("name", primary_key=True), _count("value"))

edges = sql.Table(
    "edges",
    metadata,
    _text("edge", primary_key=True),
    sql.Column("profile", sql.LargeBinary, nullable=False),
    _text("duty"),
    _text("serial"),
    _wall_s("enrolled_wall_s"),
    _wall_s("changed_wall_s"),
    sql.Column("revoked", sql.Boolean(create_constraint=False), nullable=False),
    _text("note"),
    sql.Column("serial_before", sql.Text, nullable=False, server_default=sql.text("''")),
)

# Who looks after the fleet at the moment; edges are told of all that were seen lately.
origins = sql.Table(
    "origins",
    metadata,
    _text("origin_id", primary_key=True),
    _text("fleet_url"),
    _wall_s("started_wall_s"),
    _wall_s("seen_wall_s"),
)

enrol_tokens = sql.Table(
    "enrol_tokens",
    metadata,
    _text("token_sha256", primary_key=True),
    _text("edge"),
    _wall_s("made_wall_s"),
    _wall_s("until_wall_s"),
    _text("by"),
    _wall_s("taken_wall_s", nullable=True),
    _text("taken_by"),
)

heartbeats = sql.Table(
    "heartbeats",
    metadata,
    _text("edge", primary_key=True),
    _text("boot_id"),
    _count("sequence_no"),
    _wall_s("received_wall_s"),
    _text("origin_id"),
    sql.Column("body", sql.LargeBinary, nullable=False),
    sql.Column("revision", sql.BigInteger, nullable=False, index=True),
    _text("held_id"),
    sql.Column("held", sql.LargeBinary),
    _count("held_revision"),
)

observations = sql.Table(
    "observations",
    metadata,
    _text("observer", primary_key=True),
    _text("edge", primary_key=True),
    sql.Column("is_up", sql.Boolean(create_constraint=False), nullable=False),
    _count("failure_count"),
    sql.Column("rtt_ms", sql.Double),
    _wall_s("seen_wall_s"),
    _text("origin_id"),
    sql.Column("revision", sql.BigInteger, nullable=False, index=True),
)

plans = sql.Table(
    "plans",
    metadata,
    _text("plan_id", primary_key=True),
    _wall_s("made_wall_s"),
    _wall_s("valid_from_wall_s"),
    _wall_s("valid_until_wall_s"),
    _text("state"),
    _wall_s("applied_wall_s", nullable=True),
    sql.Column("summary", sql.LargeBinary, nullable=False),
    sql.Column("made_by", sql.Text, nullable=False, server_default=sql.text("''")),
    # At most one plan is in force, whatever the code above does.
    sql.Index(
        "ix_plans_applied",
        "state",
        unique=True,
        sqlite_where=sql.text("state = 'applied'"),
        postgresql_where=sql.text("state = 'applied'"),
    ),
)

edge_plans = sql.Table(
    "edge_plans",
    metadata,
    _text("plan_id", primary_key=True),
    _text("edge", primary_key=True),
    sql.Column("signed", sql.LargeBinary, nullable=False),
)

secrets = sql.Table(
    "secrets",
    metadata,
    _text("name", primary_key=True),
    sql.Column("value", sql.LargeBinary, nullable=False),
)

api_tokens = sql.Table(
    "api_tokens",
    metadata,
    _text("token_sha256", primary_key=True),
    sql.Column("name", sql.Text, nullable=False, unique=True),
    _text("role"),
    _wall_s("made_wall_s"),
    _wall_s("until_wall_s"),
    _wall_s("revoked_wall_s", nullable=True),
)

audit = sql.Table(
    "audit",
    metadata,
    # SQLite counts by itself only in a column of type INTEGER.
    sql.Column(
        "id",
        sql.BigInteger().with_variant(sql.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    _wall_s("wall_s"),
    _text("actor"),
    _text("action"),
    _text("subject"),
    _text("before"),
    _text("after"),
    sqlite_autoincrement=True,
)

leases = sql.Table(
    "leases",
    metadata,
    _text("name", primary_key=True),
    _text("holder"),
    _wall_s("until_wall_s"),
)

# How far each segment of each run of an edge has been taken (nearcast.telemetry).
telemetry_cursors = sql.Table(
    "telemetry_cursors",
    metadata,
    _text("edge", primary_key=True),
    _text("boot_id", primary_key=True),
    sql.Column("segment_no", sql.BigInteger, primary_key=True, autoincrement=False),
    _count("offset_bytes"),
    sql.Column("changed_wall_s", sql.Double, nullable=False, index=True),
)

# Sums of nearcast.telemetry.Demand over a slot of time.
demand = sql.Table(
    "demand",
    metadata,
    sql.Column("from_wall_s", sql.BigInteger, nullable=False),
    _text("edge"),
    _text("title"),
    _text("rendition"),
    _count("client_bytes"),
    _count("resident_bytes"),
    _count("origin_bytes"),
    _count("head_bytes"),
    _count("session_count"),
    _count("planned_bytes"),
    sql.PrimaryKeyConstraint("from_wall_s", "edge", "title", "rendition"),
    # A title's page asks for one of thousands of titles, over weeks.
    sql.Index("ix_demand_title", "title", "from_wall_s"),
)

# Sums of nearcast.telemetry.SessionEnded over a slot of time.
sessions = sql.Table(
    "sessions",
    metadata,
    sql.Column("from_wall_s", sql.BigInteger, nullable=False),
    _text("edge"),
    _text("title"),
    _count("session_count"),
    sql.Column("watched_s", sql.Double, nullable=False, server_default="0"),
    sql.Column("duration_s", sql.Double, nullable=False, server_default="0"),
    sql.Column("startup_s", sql.Double, nullable=False, server_default="0"),
    _count("startup_count"),
    _count("stall_count"),
    sql.Column("bitrate_kbps", sql.Double, nullable=False, server_default="0"),
    _count("bitrate_count"),
    _count("error_count"),
    sql.PrimaryKeyConstraint("from_wall_s", "edge", "title"),
    sql.Index("ix_sessions_title", "title", "from_wall_s"),
)

# Viewers who are about to want an episode: SessionEnded.next_title, newest last.
wanted_next = sql.Table(
    "wanted_next",
    metadata,
    sql.Column("from_wall_s", sql.BigInteger, nullable=False),
    _text("edge"),
    _text("title"),
    _count("session_count"),
    sql.PrimaryKeyConstraint("from_wall_s", "edge", "title"),
)

# Before which segment everything of a run of an edge is done with: its row is what writers lock.
telemetry_runs = sql.Table(
    "telemetry_runs",
    metadata,
    sql.Column("edge", sql.Text, primary_key=True),
    sql.Column("boot_id", sql.Text, primary_key=True),
    sql.Column("first_segment_no", sql.BigInteger, nullable=False, server_default="0"),
    sql.Column("changed_wall_s", sql.Double, nullable=False, index=True),
)

# Raw events from when they were taken until they are in a file of the history: both happen in one
# transaction with what says so, so each event is in exactly one place.
telemetry_pieces = sql.Table(
    "telemetry_pieces",
    metadata,
    sql.Column(
        "id",
        sql.BigInteger().with_variant(sql.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    sql.Column("edge", sql.Text, nullable=False),
    sql.Column("boot_id", sql.Text, nullable=False),
    sql.Column("received_wall_s", sql.Double, nullable=False),
    sql.Column("event_count", sql.BigInteger, nullable=False),
    sql.Column("body", sql.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

# Figures of all edges by the minute for a day, for the page (origin.telemetry.series_minutes).
series_minutes = sql.Table(
    "series_minutes",
    metadata,
    sql.Column("minute", sql.BigInteger, primary_key=True, autoincrement=False),
    sql.Column("is_whole", sql.Boolean(create_constraint=False), nullable=False),
    sql.Column("body", sql.LargeBinary, nullable=False),
    sql.Column("revision", sql.BigInteger, nullable=False, index=True),
)

# The files that make up the history; one that is not named here is none of it.
history_files = sql.Table(
    "history_files",
    metadata,
    sql.Column("name", sql.Text, primary_key=True),
    sql.Column("day", sql.Text, nullable=False, index=True),
    sql.Column("event_count", sql.BigInteger, nullable=False),
    sql.Column("size_bytes", sql.BigInteger, nullable=False),
    sql.Column("made_wall_s", sql.Double, nullable=False),
)
