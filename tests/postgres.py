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
from typing import Self
from urllib.parse import quote

from tests.support import require

GIVEN = os.environ.get("LG_TEST_PG_DSN")  # read early: each test runs without the variables of this program
START_S = 60
ANSWER_S = 60
STOP_S = 60
LET_GO = """
SELECT pg_terminate_backend(pid) FROM (
    SELECT DISTINCT pid FROM pg_locks JOIN pg_class ON pg_class.oid = relation
    WHERE relnamespace = to_regnamespace(%s) AND pid <> pg_backend_pid()
) AS holding
"""
"""Ends the connections that hold locks on tables of a schema."""


@contextmanager
def server() -> Iterator[str]:
    """The address of a running server, ended with the block if it is ours."""
    if GIVEN:
        yield GIVEN
        return
    with own_server() as made:
        yield made.url


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
            # A test that was stopped may have left a transaction open, which would hold this up for ever.
            connection.execute(LET_GO, [name])
            connection.execute(f'DROP SCHEMA "{name}" CASCADE'.encode())


def postgres_answers(url: str) -> bool:
    """Whether there is a server at an address that lets one connect."""
    import psycopg

    try:
        psycopg.connect(url, connect_timeout=ANSWER_S).close()
    except psycopg.OperationalError:
        return False
    return True


def _programs() -> Path | None:
    """Return the folder of the server's programs."""
    found = shutil.which("pg_ctl")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").exists() and (folder / "initdb").exists()), None)


class OwnServer:
    """A server that is ours, in a folder of its own, and may be killed and started again. Gone with the block."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._who = _ordinary_user()
        self._place = Path(tempfile.mkdtemp(prefix="lg-pg-", dir="/tmp"))  # a socket's path has about 100 characters
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://lg@/postgres?host={quote(str(self._place))}"

    def __enter__(self) -> Self:
        if self._who is not None:
            os.chown(self._place, self._who, -1)
        command = [str(self._programs / "initdb"), "-D", str(self._place / "data"), "-U", "lg", "-A", "trust"]
        command += ["-E", "UTF8", "--no-locale", "--no-sync"]
        subprocess.run(command, user=self._who, cwd=self._place, check=True, capture_output=True, timeout=START_S)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout=STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(timeout=STOP_S)
        shutil.rmtree(self._place, ignore_errors=True)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [str(self._programs / "postgres"), "-D", str(self._place / "data"), "-k", str(self._place), "-F"]
        command += ["-c", "listen_addresses=", "-c", "shared_buffers=16MB", "-c", "max_connections=60"]
        if (setpriv := shutil.which("setpriv")) is not None:  # a test process that is killed leaves no server behind
            command = [setpriv, "--pdeathsig", "INT", *command]
        with (self._place / "log").open("ab") as log:
            self._process = subprocess.Popen(command, user=self._who, cwd=self._place, stdout=log, stderr=log)
        _answering(self.url, self._process, self._place / "log")

    @property
    def pid(self) -> int:
        """The first of its processes; the others end when they notice that it is gone."""
        return self._process.pid if self._process is not None else 0

    def is_gone(self) -> bool:
        """Whether it was killed; waits for the end that it comes to."""
        return self._process is not None and self._process.wait(timeout=START_S) == -signal.SIGKILL


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """A server that a test may kill."""
    programs = _programs()
    require(programs is not None, "PostgreSQL's initdb and postgres (Debian: postgresql)")
    if programs is not None:
        with OwnServer(programs) as made:
            yield made


def _ordinary_user() -> int | None:
    """Return whom the server runs as: it refuses root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    return names.get("postgres", names["nobody"])


def _answering(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        if postgres_answers(url):
            return
        time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start: {log.read_text('utf-8', 'replace')[-2000:]}")
