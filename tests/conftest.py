"""Fixtures for every test: asyncio only, an environment without the developer's own settings, private state, stores."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import postgres
from tests.fork_server import ForkServer, is_possible
from tests.forked import by_fork
from tests.forked_programs import built_in_server, programs_of
from tests.gateway.fixture_program import fixture_server
from tests.processes import Shared
from tests.rewritten import rewrite_ahead
from tests.support import MEMORY, has_room, signals_heard

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = (
    "tests/test_conformance.py",
    "tests/test_matrix.py",
    "tests/orchestrator/engine/test_power_cuts.py",
    "tests/e2e/test_tutorials.py",
    "tests/e2e/test_dev_script.py",
    "tests/gateway/serving/test_workers.py",
)
"""What would keep one worker busy alone at the end, were it not first."""


def processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pytest_xdist_auto_num_workers() -> int:
    """For `-n auto`: half as many again as there are processors, since a test often waits for programs and disks."""
    return int(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or processors() + (processors() + 1) // 2)


def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Before the workers start: do once what each of them would do."""
    rewrite_ahead(config, Path(__file__).parent, processors())


def pytest_collection_finish() -> None:
    """What the tests' modules are made of stays: the collector, here and in each fork, need not look at it again."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the others stay in their order, because tests of a file share what is costly."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where state, configuration and keys are kept: in memory where there is room, since each record waits for a disk.

    Sandboxed commands see a `/dev` of their own, so tests of the sandbox keep them on the disk.
    """
    if not has_room(MEMORY):
        yield tmp_path_factory.mktemp("homes")
        return
    with tempfile.TemporaryDirectory(prefix="lg-tests-", dir=MEMORY, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def clean_environment(homes: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Point state, configuration and keys at a private directory; drop settings of the person who runs the tests."""
    home = Path(tempfile.mkdtemp(prefix="home-", dir=homes))
    for name in list(os.environ):
        if name.startswith(("LG_", "XDG_", "OTEL_", "LANGSMITH_", "LANGCHAIN_")) and name != "LG_REQUIRE_ALL":
            monkeypatch.delenv(name)
    for name in ("COLUMNS", "LINES"):  # which xdist sets for its workers: terminals of tests have sizes of their own
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(homes / "cache"))  # what is made once serves all tests
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _signals_reach_what_tests_start() -> Iterator[None]:
    with signals_heard("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"):
        yield


@pytest.fixture(scope="session", autouse=True)
def _servers_start_by_a_fork() -> Iterator[None]:
    """What a gateway in this process starts is a fork of it; a gateway that is a program of its own starts programs."""
    with by_fork(lambda words: fixture_server(words) or built_in_server(words)):
        yield


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer | None]:
    """What forks our programs, where the system can do that."""
    if not is_possible():
        yield None
        return
    with closing(ForkServer()) as server:
        yield server


@pytest.fixture
def programs_by_fork(fork_server: ForkServer | None) -> Iterator[None]:
    """Our programs start by a fork in this test; see `tests.forked_programs`."""
    with programs_of(fork_server):
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Shared[str]]:
    with closing(Shared(postgres.server, postgres.postgres_answers)) as shared:
        yield shared


@pytest.fixture
def postgres_url(postgres_server: Shared[str]) -> Iterator[str]:
    """The address of an empty schema."""
    with postgres.schema(postgres_server.get()) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest) -> str | None:
    """What `StorePlace.url` takes, once for each kind of store."""
    return str(request.getfixturevalue("postgres_url")) if request.param == "postgres" else None
