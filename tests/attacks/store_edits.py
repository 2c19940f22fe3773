"""Edits of a store by somebody without the keys, and what `audit verify` says of them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from tests.gateway.commands.support_commands import run


def edit(place: Path, *statements: str) -> None:
    connection = sqlite3.connect(place, timeout=60)
    for sql in statements:
        connection.execute(sql)
    connection.commit()
    connection.close()


def rows(place: Path, table: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(place, timeout=60)
    found = connection.execute(f"SELECT * FROM {table}").fetchall()
    connection.close()
    return found


def put_back(place: Path, table: str, old: list[tuple[Any, ...]]) -> None:
    connection = sqlite3.connect(place, timeout=60)
    connection.execute(f"DELETE FROM {table}")
    connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(old[0]))})", old)
    connection.commit()
    connection.close()


def verified(tmp_path: Path) -> tuple[int, str]:
    done = run("audit", "verify", "--config", str(tmp_path / "gateway.toml"))
    return done.returncode, done.stdout
