"""A PostgreSQL server for tests: the one that `LG_TEST_PG_DSN` names, or one of our own; a schema for each test."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from tests.support import require

GIVEN = os.environ.get("LG_TEST_PG_DSN")  # read early: each test runs without the variables of this program
START_S = 60


@contextmanager
def server() -> Iterator[str]:
    """The address of a running server, ended with the block if it is ours."""
    if GIVEN:
        yield GIVEN
        return
    programs = _programs()
    require(programs is not None, "PostgreSQL's initdb and postgres (Debian: postgresql)")
    if programs is not None:
        with _own(programs) as url:
            yield url


@contextmanager
def schema(server_url: str) -> Iterator[str]:
    """The address of a schema of its own, dropped with the block."""
    import psycopg

    name = f"lg_test_{secrets.token_hex(6)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{name}"'.encode())
        try:
            joint = "&" if "?" in server_url else "?"
            yield f"{server_url}{joint}options={quote(f'-csearch_path={name}')}"
        finally:
            connection.execute(f'DROP SCHEMA "{name}" CASCADE'.encode())


def _programs() -> Path | None:
    """Return the folder of the server's programs."""
    found = shutil.which("pg_ctl")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").exists() and (folder / "initdb").exists()), None)


@contextmanager
def _own(programs: Path) -> Iterator[str]:
    who = _ordinary_user()
    place = Path(tempfile.mkdtemp(prefix="lg-pg-", dir="/tmp"))  # short: a socket's path has about 100 characters
    try:
        if who is not None:
            os.chown(place, who, -1)
        command = [str(programs / "initdb"), "-D", str(place / "data"), "-U", "lg", "-A", "trust", "-E", "UTF8"]
        command += ["--no-locale", "--no-sync"]
        subprocess.run(command, user=who, cwd=place, check=True, capture_output=True, timeout=START_S)
        command = [str(programs / "postgres"), "-D", str(place / "data"), "-k", str(place), "-F"]
        command += ["-c", "listen_addresses=", "-c", "shared_buffers=16MB", "-c", "max_connections=60"]
        with (place / "log").open("wb") as log:
            process = subprocess.Popen(command, user=who, cwd=place, stdout=log, stderr=log)
        try:
            yield _answering(f"postgresql://lg@/postgres?host={quote(str(place))}", process, place / "log")
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=START_S)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _ordinary_user() -> int | None:
    """Return whom the server runs as: it refuses root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    return names.get("postgres", names["nobody"])


def _answering(url: str, process: subprocess.Popen[bytes], log: Path) -> str:
    import psycopg

    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return url
    raise RuntimeError(f"PostgreSQL did not start: {log.read_text('utf-8', 'replace')[-2000:]}")
