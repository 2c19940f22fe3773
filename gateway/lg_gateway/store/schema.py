"""Creates and migrates the tables of the store, for both databases. Migrations are only ever appended to the list.

`{real}` and `{rowid}` stand for types that the two databases name differently. If only one of them needs a migration,
the other's text is empty.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lg_gateway.store.interface import StoreTooNew, StoreTooOld

if TYPE_CHECKING:
    from psycopg import Connection


@dataclass(frozen=True)
class Migration:
    """One migration: the statements for each database."""

    sqlite: str
    postgres: str


def both(sql: str) -> Migration:
    """Return a migration from one text for both databases."""
    return Migration(
        sqlite=sql.replace("{real}", "REAL").replace("{rowid}", "INTEGER PRIMARY KEY"),
        postgres=sql.replace("{real}", "DOUBLE PRECISION").replace("{rowid}", "BIGINT PRIMARY KEY"),
    )


# The ledger keeps each record once, as the text that was hashed. `request_id` and `run_id` repeat what the record says,
# so that it can be looked up; `verify` compares them.
LEDGER = Migration(
    sqlite="""
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
""",
    postgres="""
CREATE TABLE ledger (
    seq BIGINT PRIMARY KEY,
    hash TEXT NOT NULL,
    mac TEXT NOT NULL,
    record TEXT NOT NULL,
    request_id TEXT,
    run_id TEXT
);
CREATE INDEX ledger_request ON ledger (request_id);
CREATE INDEX ledger_run ON ledger (run_id) WHERE run_id IS NOT NULL;
""",
)

# A question to a human and its answer. `mac` covers everything else in the row: someone who can write the store but not
# the key directory cannot turn a question into a yes.
APPROVALS = both("""
CREATE TABLE approvals (
    id TEXT PRIMARY KEY,
    binding TEXT NOT NULL,
    identity TEXT NOT NULL,
    state TEXT NOT NULL,
    created {real} NOT NULL,
    expires {real} NOT NULL,
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
    expires {real} NOT NULL,
    body TEXT NOT NULL,
    mac TEXT NOT NULL
);
CREATE INDEX grants_run ON grants (identity, run_id, tool);
""")

# One row for each idempotency key that reached a server, and the newest epoch of each run.
EFFECTS = both("""
CREATE TABLE effects (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    tool TEXT NOT NULL,
    arguments_digest TEXT NOT NULL,
    request_id TEXT NOT NULL,
    approval_id TEXT,
    result TEXT,
    created {real} NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX effects_created ON effects (created);
CREATE TABLE runs (
    scope TEXT PRIMARY KEY,
    epoch BIGINT NOT NULL,
    seen {real} NOT NULL
);
""")

# The accepted definition of each foreign tool, and a changed one that waits to be accepted, if any.
PINS = both("""
CREATE TABLE pins (
    server TEXT NOT NULL,
    tool TEXT NOT NULL,
    body TEXT NOT NULL,
    mac TEXT NOT NULL,
    PRIMARY KEY (server, tool)
);
""")

# Whole answers that were cut, so that the caller can read the rest.
RESULTS = both("""
CREATE TABLE results (
    id TEXT PRIMARY KEY,
    identity TEXT NOT NULL,
    text TEXT NOT NULL,
    created {real} NOT NULL
);
CREATE INDEX results_created ON results (created);
""")

# Plain columns in place of generated ones: both databases can fill them in the same way.
LEDGER_COLUMNS = Migration(
    sqlite="""
CREATE TABLE ledger_new (
    seq INTEGER PRIMARY KEY,
    hash TEXT NOT NULL,
    mac TEXT NOT NULL,
    record TEXT NOT NULL,
    request_id TEXT,
    run_id TEXT
);
INSERT INTO ledger_new SELECT seq, hash, mac, record, CASE WHEN json_valid(record) THEN request_id END,
    CASE WHEN json_valid(record) THEN run_id END FROM ledger;
DROP TABLE ledger;
ALTER TABLE ledger_new RENAME TO ledger;
CREATE INDEX ledger_request ON ledger (request_id);
CREATE INDEX ledger_run ON ledger (run_id) WHERE run_id IS NOT NULL;
""",
    postgres="",
)

# Kept texts in pieces, each a JSON string: a reader fetches only the part it asked for, and a text may hold any
# character.
KEPT_PIECES = both("""
DROP TABLE results;
CREATE TABLE results (
    id TEXT PRIMARY KEY,
    identity TEXT NOT NULL,
    characters BIGINT NOT NULL,
    created {real} NOT NULL
);
CREATE INDEX results_created ON results (created);
CREATE TABLE result_pieces (
    id TEXT NOT NULL REFERENCES results (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (id, number)
);
""")

# A call that waits because its server asked a question, for callers who answer with another request.
DIALOGUES = both("""
CREATE TABLE dialogues (
    id TEXT PRIMARY KEY,
    binding TEXT NOT NULL,
    waiting BIGINT NOT NULL,
    expires {real} NOT NULL,
    body TEXT NOT NULL,
    mac TEXT NOT NULL
);
CREATE INDEX dialogues_binding ON dialogues (binding, waiting);
""")

# Who may call over HTTP. `body` holds a keyed digest of the secret, never the secret; `mac` covers the row.
TOKENS = both("""
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    body TEXT NOT NULL,
    mac TEXT NOT NULL
);
""")

# What each run has used up, whatever processes it went through.
BUDGETS = both("""
CREATE TABLE budgets (
    scope TEXT PRIMARY KEY,
    calls BIGINT NOT NULL,
    bytes_in BIGINT NOT NULL,
    bytes_out BIGINT NOT NULL,
    seconds {real} NOT NULL
);
""")

# Parts of the chain that were moved into files, each with its signed seal, and the signed note of a file's removal.
SEGMENTS = both("""
CREATE TABLE segments (
    number {rowid},
    first_seq BIGINT NOT NULL,
    last_seq BIGINT NOT NULL,
    seal TEXT NOT NULL,
    removal TEXT
);
""")

# What calls came to, apart from the chain, which has only its digest. An effect says which gateway began it and whether
# it ended; results of before are not carried over, as nothing vouches for them.
OUTCOMES = both("""
CREATE TABLE outcomes (
    request_id TEXT PRIMARY KEY,
    text TEXT NOT NULL,
    mac TEXT NOT NULL,
    created {real} NOT NULL
);
CREATE INDEX outcomes_created ON outcomes (created);
CREATE TABLE effects_new (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    tool TEXT NOT NULL,
    arguments_digest TEXT NOT NULL,
    request_id TEXT NOT NULL,
    approval_id TEXT,
    holder TEXT NOT NULL,
    ended BIGINT NOT NULL,
    created {real} NOT NULL,
    PRIMARY KEY (scope, key)
);
INSERT INTO effects_new SELECT scope, key, tool, arguments_digest, request_id, approval_id, '',
    CASE WHEN result IS NULL THEN 0 ELSE 1 END, created FROM effects;
DROP TABLE effects;
ALTER TABLE effects_new RENAME TO effects;
CREATE INDEX effects_created ON effects (created);
""")

# When a run was last active, to remove it by age. And whether a kept text is from a trusted server; that is not known
# for the texts that are already there.
AGES = both("""
ALTER TABLE budgets ADD COLUMN seen {real} NOT NULL DEFAULT 0;
ALTER TABLE results ADD COLUMN trusted BIGINT NOT NULL DEFAULT 0;
CREATE INDEX approvals_expires ON approvals (expires);
CREATE INDEX effects_approval ON effects (approval_id) WHERE approval_id IS NOT NULL;
""")

# Keyed codes for kept results. Results that are already there have none, so they are removed a little early.
RESULT_CODES = both("""
DELETE FROM result_pieces;
DELETE FROM results;
ALTER TABLE results ADD COLUMN mac TEXT NOT NULL DEFAULT '';
ALTER TABLE result_pieces ADD COLUMN mac TEXT NOT NULL DEFAULT '';
""")

# Tasks that calls became. Each is its caller's, and its call's until it ends.
TASKS = both("""
CREATE TABLE tasks (
    id TEXT PRIMARY KEY,
    identity TEXT NOT NULL,
    request_id TEXT NOT NULL,
    waiting BIGINT NOT NULL,
    expires {real} NOT NULL,
    body TEXT NOT NULL,
    mac TEXT NOT NULL
);
CREATE INDEX tasks_identity ON tasks (identity, waiting);
CREATE INDEX tasks_request ON tasks (request_id);
CREATE INDEX tasks_waiting ON tasks (waiting, expires);
""")

# Sessions and one-time links of the console, found by the digest of a secret that only a browser has.
CONSOLE = both("""
CREATE TABLE console_rows (
    id TEXT PRIMARY KEY,
    expires {real} NOT NULL,
    body TEXT NOT NULL,
    mac TEXT NOT NULL
);
CREATE INDEX console_rows_expires ON console_rows (expires);
""")

MIGRATIONS: tuple[Migration, ...] = (
    LEDGER, APPROVALS, EFFECTS, PINS, RESULTS, LEDGER_COLUMNS, KEPT_PIECES, DIALOGUES, TOKENS, BUDGETS, SEGMENTS,
    OUTCOMES, AGES, RESULT_CODES, TASKS, CONSOLE,
)  # fmt: skip


def migrate_sqlite(connection: sqlite3.Connection) -> None:
    """Bring a file to the newest version, one transaction per migration. Raises `StoreTooNew`, `sqlite3.Error`."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    _refuse_newer(version)
    for number in range(version, len(MIGRATIONS)):
        step = MIGRATIONS[number].sqlite
        connection.executescript(f"BEGIN IMMEDIATE; {step} PRAGMA user_version = {number + 1}; COMMIT;")


def migrate_postgres(connection: Connection[Any]) -> None:
    """Bring a database to the newest version, all migrations in the caller's transaction. Raises `StoreTooNew`.

    The caller holds the lock that keeps other gateways from doing the same.
    """
    connection.execute("CREATE TABLE IF NOT EXISTS lg_schema (version BIGINT NOT NULL)")
    row = connection.execute("SELECT max(version) FROM lg_schema").fetchone()
    version = int(row[0]) if row is not None and row[0] is not None else 0
    _refuse_newer(version)
    for number in range(version, len(MIGRATIONS)):
        for statement in MIGRATIONS[number].postgres.split(";\n"):
            if statement.strip():
                connection.execute(statement.encode("ascii"))
        connection.execute("INSERT INTO lg_schema (version) VALUES (%s)", (number + 1,))


def check_version(version: int) -> None:
    """Refuse to read a store that is not of this version. Raises `StoreTooNew`, `StoreTooOld`."""
    _refuse_newer(version)
    if version < len(MIGRATIONS):
        raise StoreTooOld(
            f"an older version of lg-gateway wrote it (schema {version}; this version reads {len(MIGRATIONS)})"
        )


def _refuse_newer(version: int) -> None:
    if version > len(MIGRATIONS):
        raise StoreTooNew(
            f"a newer version of lg-gateway wrote it (schema {version}; this version reads {len(MIGRATIONS)});"
            " install that version or a later one"
        )
