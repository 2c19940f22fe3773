"""The tables of the store, as a list of migrations that is only ever appended to."""

from __future__ import annotations

import sqlite3

# The ledger keeps each record once, as the text that was hashed; the columns to search by are derived from it, so that
# an edit of what a query shows is an edit of what the chain covers.
LEDGER = """
CREATE TABLE ledger (
    seq INTEGER PRIMARY KEY,
    hash TEXT NOT NULL,
    mac TEXT NOT NULL,
    record TEXT NOT NULL,
    request_id TEXT GENERATED ALWAYS AS (json_extract(record, '$.request_id')) VIRTUAL,
    run_id TEXT GENERATED ALWAYS AS (json_extract(record, '$.run_id')) VIRTUAL
);
CREATE INDEX ledger_request ON ledger (request_id);
CREATE INDEX ledger_run ON ledger (run_id) WHERE run_id IS NOT NULL;
"""

# A question to a human and its answer. `mac` covers everything else in the row: someone who can write the store but not
# the key directory cannot turn a question into a yes.
APPROVALS = """
CREATE TABLE approvals (
    id TEXT PRIMARY KEY,
    binding TEXT NOT NULL,
    identity TEXT NOT NULL,
    state TEXT NOT NULL,
    created REAL NOT NULL,
    expires REAL NOT NULL,
    body TEXT NOT NULL,
    mac TEXT NOT NULL
);
CREATE INDEX approvals_binding ON approvals (binding, created);
CREATE INDEX approvals_state ON approvals (state, identity);
CREATE TABLE grants (
    id TEXT PRIMARY KEY,
    identity TEXT NOT NULL,
    run_id TEXT NOT NULL,
    tool TEXT NOT NULL,
    expires REAL NOT NULL,
    body TEXT NOT NULL,
    mac TEXT NOT NULL
);
CREATE INDEX grants_run ON grants (identity, run_id, tool);
"""

# One row for each idempotency key that reached a server, and the newest epoch of each run.
EFFECTS = """
CREATE TABLE effects (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    tool TEXT NOT NULL,
    arguments_digest TEXT NOT NULL,
    request_id TEXT NOT NULL,
    approval_id TEXT,
    result TEXT,
    created REAL NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX effects_created ON effects (created);
CREATE TABLE runs (
    scope TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    seen REAL NOT NULL
);
"""

# The definition of each foreign tool that was accepted, and the changed one that waits for it, if any.
PINS = """
CREATE TABLE pins (
    server TEXT NOT NULL,
    tool TEXT NOT NULL,
    body TEXT NOT NULL,
    mac TEXT NOT NULL,
    PRIMARY KEY (server, tool)
);
"""

# What did not fit into an answer, for its caller to read on.
RESULTS = """
CREATE TABLE results (
    id TEXT PRIMARY KEY,
    identity TEXT NOT NULL,
    text TEXT NOT NULL,
    created REAL NOT NULL
);
CREATE INDEX results_created ON results (created);
"""

MIGRATIONS: tuple[str, ...] = (LEDGER, APPROVALS, EFFECTS, PINS, RESULTS)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database to the newest version, each step in its own transaction.

    Raises `sqlite3.DatabaseError` when the file was written by a newer version of this program.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise sqlite3.DatabaseError(
            f"written by a newer version (schema {version}, this program knows {len(MIGRATIONS)})"
        )
    for number in range(version, len(MIGRATIONS)):
        connection.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;")
