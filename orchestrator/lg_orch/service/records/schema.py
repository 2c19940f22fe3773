"""The tables of runs, in words that SQLite and PostgreSQL share."""

from __future__ import annotations

TABLES = (
    """
    CREATE TABLE IF NOT EXISTS lg_runs (
        run_id TEXT PRIMARY KEY,
        state TEXT NOT NULL,
        request TEXT NOT NULL,
        repository TEXT NOT NULL,
        root TEXT NOT NULL,
        root_id TEXT NOT NULL,
        options TEXT NOT NULL,
        created_by TEXT NOT NULL,
        created DOUBLE PRECISION NOT NULL,
        updated DOUBLE PRECISION NOT NULL,
        priority INTEGER NOT NULL,
        work TEXT,
        not_before DOUBLE PRECISION NOT NULL DEFAULT 0,
        owner TEXT,
        lease_until DOUBLE PRECISION NOT NULL DEFAULT 0,
        epoch INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        stop TEXT NOT NULL DEFAULT '',
        report TEXT,
        undo TEXT,
        forked_from TEXT
    )
    """,
    "CREATE INDEX IF NOT EXISTS lg_runs_created ON lg_runs (created, run_id)",
    "CREATE INDEX IF NOT EXISTS lg_runs_work ON lg_runs (priority, created) WHERE work IS NOT NULL",
    """
    CREATE TABLE IF NOT EXISTS lg_run_keys (
        caller TEXT NOT NULL,
        key TEXT NOT NULL,
        digest TEXT NOT NULL,
        run_id TEXT NOT NULL,
        created DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (caller, key)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS lg_run_said (
        id TEXT PRIMARY KEY,
        run_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        body TEXT NOT NULL,
        by_whom TEXT NOT NULL,
        time DOUBLE PRECISION NOT NULL
    )
    """,
    "CREATE INDEX IF NOT EXISTS lg_run_said_run ON lg_run_said (run_id, time)",
    """
    CREATE TABLE IF NOT EXISTS lg_service_ticks (
        name TEXT PRIMARY KEY,
        time DOUBLE PRECISION NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS lg_service_tokens (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        role TEXT NOT NULL,
        created DOUBLE PRECISION NOT NULL,
        expires DOUBLE PRECISION NOT NULL,
        revoked DOUBLE PRECISION,
        digest TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS lg_schedules (
        name TEXT PRIMARY KEY,
        cron TEXT NOT NULL,
        zone TEXT NOT NULL,
        body TEXT NOT NULL,
        created_by TEXT NOT NULL,
        created DOUBLE PRECISION NOT NULL,
        next_at DOUBLE PRECISION NOT NULL,
        last_at DOUBLE PRECISION,
        last_run TEXT,
        error TEXT
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS lg_threads (
        thread_id TEXT PRIMARY KEY,
        metadata TEXT NOT NULL,
        created_by TEXT NOT NULL,
        created DOUBLE PRECISION NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS lg_thread_runs (
        thread_id TEXT NOT NULL,
        run_id TEXT NOT NULL,
        PRIMARY KEY (thread_id, run_id)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS lg_run_counts (
        name TEXT NOT NULL,
        label TEXT NOT NULL,
        value DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (name, label)
    )
    """,
    "INSERT INTO lg_service_ticks (name, time) VALUES ('claim', 0) ON CONFLICT (name) DO NOTHING",
)
ONE_CLAIM_AT_A_TIME = "UPDATE lg_service_ticks SET time = time WHERE name = 'claim'"
"""Makes a transaction wait for others that claim a run: else two could begin one of the same repository."""
EVENT_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS lg_run_events (
        run_id TEXT NOT NULL,
        seq INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        line TEXT NOT NULL,
        PRIMARY KEY (run_id, seq)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS lg_run_files (
        run_id TEXT NOT NULL,
        name TEXT NOT NULL,
        data BYTEA NOT NULL,
        PRIMARY KEY (run_id, name)
    )
    """,
)
"""Where workers share no directory: the journals, and the files beside them."""
