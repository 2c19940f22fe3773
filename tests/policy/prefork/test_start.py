"""What speaks against a start by fork."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.support import require


@pytest.fixture(autouse=True)
def _on_linux() -> None:
    require(sys.platform == "linux", "spare processes are made on Linux only")


ASK = "import json, os; from lg_policy.prefork.start import obstacle; print(json.dumps(obstacle(os.environ)))"
WITH_THREAD = f"import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()\n{ASK}"


def told(options: list[str], environ: dict[str, str], script: str = ASK) -> str | None:
    done = subprocess.run(
        [sys.executable, *options, "-c", script], env={"LC_ALL": "C.UTF-8"} | environ, capture_output=True, check=True
    )
    answer: str | None = json.loads(done.stdout)
    return answer


def test_nothing_speaks_against_it_in_a_plain_process() -> None:
    assert told(["-P"], {"PYTHONUNBUFFERED": "1", "TOKEN": "1"}) is None


@pytest.mark.parametrize(
    ("options", "environ", "why"),
    [
        ([], {"LG_START": "exec"}, "LG_START is exec"),
        ([], {"LD_LIBRARY_PATH": "/opt/lib"}, "LD_LIBRARY_PATH is set"),
        ([], {"PYTHONPATH": "/opt/lib"}, "PYTHONPATH is set"),
        ([], {"PYTHONHASHSEED": "1"}, "PYTHONHASHSEED is set"),
        ([], {"LC_CTYPE": "C"}, "LC_CTYPE is set"),
        (["-O"], {}, "Python runs with optimize"),
        (["-X", "dev"], {}, "Python runs with dev_mode"),
        (["-W", "error"], {}, "Python runs with options"),
    ],
)
def test_what_works_only_at_the_start_of_a_process_speaks_against_it(
    options: list[str], environ: dict[str, str], why: str
) -> None:
    assert told(options, environ) == why


def test_a_process_with_threads_does_not_fork() -> None:
    assert told(["-P"], {}, WITH_THREAD) == "there are threads"


def test_the_environment_reaches_a_process_that_was_replaced() -> None:
    script = (
        "import json, os\nfrom lg_policy.prefork import spares, start\nstart.prepare('any')\n"
        "print(json.dumps([dict(os.environ), len(spares._waiting)]))\nspares.dismiss_spares()"
    )
    odd = {"ODD": "a=b\nc", "EMPTY": "", "HOME": "/h", "HOOK": "() { :; }", "LC_CTYPE": "C.UTF-8"}
    hidden = os.memfd_create("environment", 0)
    os.write(hidden, b"\0".join(f"{name}={value}".encode() for name, value in odd.items()))
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], env={"LG_ENVIRON_FD": str(hidden)}, pass_fds=[hidden],
        capture_output=True, check=True,
    )  # fmt: skip
    os.close(hidden)
    assert json.loads(done.stdout) == [odd, 2]


def test_a_process_whose_variables_were_changed_since_its_start_is_not_replaced() -> None:
    script = (
        "import os\nos.environ['ADDED'] = '1'\nfrom lg_policy.prefork import spares, start\n"
        "start.prepare('json.tool')\nprint(len(spares._waiting))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={"HOME": "/h", "ODD": "1"}, capture_output=True, check=True
    )
    assert json.loads(done.stdout) == 0
