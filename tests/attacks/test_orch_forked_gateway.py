"""A gateway that starts by fork from `lg-orch` knows nothing of it, and neither do its servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks.process_view import addresses, holds, seen_from_outside
from tests.processes import descendants
from tests.support import require


@pytest.fixture(autouse=True)
def _on_linux() -> None:
    require(sys.platform == "linux", "programs start by fork on Linux only")


ORCH = os.path.join(os.path.dirname(sys.executable), "lg-orch")
SECRET = "only-the-orchestrator-may-know-this-3e7a"
WITHIN_S = 90


@pytest.mark.attack("Secrets", "a gateway that `lg-orch` started by fork looks for API keys in its memory")
def test_a_forked_gateway_is_the_process_that_it_would_be_and_has_no_key_of_a_provider(tmp_path: Path) -> None:
    seen = {start: programs(tmp_path, start) for start in ("exec", "fork")}
    assert seen["fork"].keys() == seen["exec"].keys() == {"lg_gateway", "lg_fs", "lg_exec"}
    assert seen["fork"] == seen["exec"]


def programs(tmp_path: Path, start: str) -> dict[str, dict[str, object]]:
    """What the kernel says of the programs below `lg-orch`, while it stands still."""
    root = tmp_path / "root"
    root.mkdir(exist_ok=True)
    (root / "a.py").write_text("def found():\n    return 1\n")
    names = {f"XDG_{name}_HOME": str(tmp_path / start / name.lower()) for name in ("STATE", "CONFIG", "CACHE", "DATA")}
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8", "LG_START": start}
    with subprocess.Popen(
        [ORCH, "run", "where is found defined?", "--json", "--repo-root", str(root)],
        env=environ | names | {"OPENAI_API_KEY": SECRET}, cwd=root, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if json.loads(line).get("phase") == "connected":
                break
        process.send_signal(signal.SIGSTOP)
        seen = {}
        for pid in descendants(process.pid):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            if len(words) > 3 and words[3] in ("lg_gateway", "lg_fs", "lg_exec"):
                seen[words[3]] = seen_from_outside(pid, start)
                assert (addresses(pid) == addresses(process.pid)) == (start == "fork")
                assert not holds(pid, [SECRET.encode()])
                assert seen[words[3]].pop("parent")
                if words[3] == "lg_gateway":  # it works while it is looked at
                    del seen[words[3]]["files"]
        assert start == "exec" or holds(process.pid, [SECRET.encode()])
        process.send_signal(signal.SIGCONT)
        process.stderr.read()
        assert process.wait(WITHIN_S) == 0
    return seen
