"""Ask whether a test notices a fault in the modules that decide.

    .venv/bin/python scripts/mutate.py --module rules --max 20

makes 20 copies of faults such as `==` for `!=`, each alone, in a copy of the clone, and runs the tests of that module
there. A fault that no test notices survives and is printed as a diff: then either a test is missing, or the fault
changes nothing that anybody could notice. Exit status 1 when one survived. Nothing in the clone itself is changed.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mutations import Mutant, mutants

ROOT = Path(__file__).resolve().parent.parent
RUNNER = Path(__file__).with_name("mutation_runner.py")
PASSED = (0, 5)
"""What pytest ends with where tests pass, and where none is chosen."""


@dataclass(frozen=True, kw_only=True)
class Area:
    """Modules that decide one thing, and the tests that must notice when they decide otherwise, quickest first."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]


GATEWAY, ATTACKS = "tests/gateway", "tests/attacks"
AREAS: dict[str, Area] = {
    "rules": Area(modules=("policy/lg_policy/rules/*.py",), tests=("tests/policy/rules",)),
    "paths": Area(
        modules=("policy/lg_policy/paths/*.py",), tests=("tests/policy/paths", f"{ATTACKS}/test_fs_paths.py")
    ),
    "masking": Area(modules=("policy/lg_policy/secrets/*.py",), tests=("tests/policy/secrets",)),
    "approvals": Area(
        modules=tuple(f"gateway/lg_gateway/approvals/{name}.py" for name in ("binding", "grants", "records")),
        tests=(f"{GATEWAY}/approvals", f"{ATTACKS}/test_gateway_approvals.py"),
    ),
    "chain": Area(
        modules=tuple(f"gateway/lg_gateway/ledger/{name}.py" for name in ("chain", "head", "verification")),
        tests=(
            f"{GATEWAY}/ledger",
            f"{ATTACKS}/test_gateway_ledger.py",
            f"{ATTACKS}/test_gateway_segments.py",
        ),
    ),
    "idempotency": Area(
        modules=("gateway/lg_gateway/calls/idempotency.py", "gateway/lg_gateway/calls/idempotency_step.py"),
        tests=tuple(f"{GATEWAY}/calls/test_{name}.py" for name in ("lost_calls", "idempotency", "crashes")),
    ),
    "authentication": Area(
        modules=("gateway/lg_gateway/identity/*.py",),
        tests=(f"{GATEWAY}/identity", f"{ATTACKS}/test_gateway_login.py"),
    ),
    "arguments": Area(
        modules=("servers/exec/lg_exec/templates/arguments.py",),
        tests=("tests/exec/templates",),
    ),
    "patches": Area(
        modules=("servers/fs/lg_fs/patch/plan.py", "servers/fs/lg_fs/patch/match.py"),
        tests=("tests/fs/patch", "tests/fs/changes/test_apply.py", f"{ATTACKS}/test_fs_writes.py"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One mutant of one module."""

    module: str
    mutant: Mutant

    def __str__(self) -> str:
        return f"{self.module}:{self.mutant.line} {self.mutant.kind}"


class Copy:
    """A copy of the clone with an environment of its own, whose interpreter finds the copy's packages."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._python = place / ".venv" / "bin" / "python"
        self._changes = 0
        self._output = place / "output.txt"
        self._fill()
        self._make_environment()
        # What a run compiles, the next one need not.
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self._runner = subprocess.Popen(
            [str(self._python), "-P", str(RUNNER)],
            cwd=place,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _fill(self) -> None:
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
        for name in names:
            if name and (ROOT / name).is_file():
                (self.place / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.place / name)

    def _make_environment(self) -> None:
        made = self.place / ".venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(made)], check=True)
        (site,) = made.glob("lib/python*/site-packages")
        (shared,) = Path(sys.prefix).glob("lib/python*/site-packages")
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
        packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
        paths = [*(str((self.place / package).parent) for package in packages), str(shared)]
        (site / "copy.pth").write_text("\n".join(paths) + "\n")
        for script in Path(sys.prefix, "bin").glob("lg-*"):
            text = script.read_text().replace(f"{sys.prefix}/bin/", f"{made}/bin/")
            (made / "bin" / script.name).write_text(text)
            (made / "bin" / script.name).chmod(0o755)

    @contextmanager
    def with_fault(self, fault: Fault) -> Iterator[None]:
        """Change the module for the length of the block."""
        path = self.place / fault.module
        whole = path.read_bytes()
        self._write(path, fault.mutant.applied(whole))
        try:
            yield
        finally:
            self._write(path, whole)

    def _write(self, path: Path, text: bytes) -> None:
        """Write with a time that no earlier version had: compiled files are recognised by whole seconds."""
        self._changes += 1
        path.write_bytes(text)
        moment = int(time.time()) + self._changes
        os.utime(path, (moment, moment))

    def passes(self, tests: tuple[str, ...], limit_s: float) -> bool:
        """Run tests; a failure, and more time than that, is a fault that was noticed."""
        order = {"tests": tests, "limit_s": limit_s, "output": str(self._output)}
        assert self._runner.stdin is not None
        assert self._runner.stdout is not None
        self._runner.stdin.write(json.dumps(order) + "\n")
        self._runner.stdin.flush()
        status: int | None = json.loads(self._runner.stdout.readline())["status"]
        return status in PASSED

    def close(self) -> None:
        """End what runs the tests."""
        self._runner.communicate()

    def output(self) -> str:
        """Return the last lines that the tests printed."""
        return "\n".join(self._output.read_text("utf-8", "replace").splitlines()[-15:])


def faults(area: Area) -> Iterator[Fault]:
    """Yield every fault that can be made in an area's modules."""
    for path in (path for pattern in area.modules for path in sorted(ROOT.glob(pattern))):
        name = path.relative_to(ROOT).as_posix()
        yield from (Fault(module=name, mutant=mutant) for mutant in mutants(path.read_bytes()))


def diff(fault: Fault) -> str:
    """Return what a fault changes, as a diff."""
    before = (ROOT / fault.module).read_bytes()
    old, new = (text.decode().splitlines(keepends=True) for text in (before, fault.mutant.applied(before)))
    return "".join(difflib.unified_diff(old, new, fault.module, f"{fault.module} ({fault.mutant.kind})", n=1))


WITHOUT_A_DATABASE = ("-k", "not postgres")
"""A fault that a test of another store notices need not wait until PostgreSQL has started."""


def stages(area: Area, module: str) -> list[tuple[str, ...]]:
    """Return an area's tests, those named after the module first: they notice most of its faults, and quickest."""
    stem = Path(module).stem
    found = [path for folder in area.tests for path in sorted((ROOT / folder).glob(f"**/test_{stem}*.py"))]
    named = tuple(path.relative_to(ROOT).as_posix() for path in found)
    return [(*WITHOUT_A_DATABASE, *named), area.tests] if named else [area.tests]


def survivors(copy: Copy, area: Area, chosen: Iterable[Fault], grace_s: float) -> Iterator[Fault]:
    """Return the faults that no test of an area notices. Raises `ValueError` when its tests fail without a fault."""
    start = time.monotonic()
    if not copy.passes(area.tests, 1800):
        raise ValueError(f"the tests fail without any fault:\n{copy.output()}")
    took = time.monotonic() - start
    print(f"   the tests alone: {took:.0f} s", flush=True)
    for fault in chosen:
        with copy.with_fault(fault):
            survived = all(copy.passes(tests, 3 * took + grace_s) for tests in stages(area, fault.module))
        print(f"   {'SURVIVED' if survived else 'noticed'} {fault}", flush=True)
        if survived:
            yield fault


def survivors_of(area: Area, chosen: list[Fault], *, jobs: int, grace_s: float) -> list[Fault]:
    """Share the faults among copies of the clone; each takes the next when it has done one."""
    left = iter(chosen)
    found: list[Fault] = []

    def work(folder: str) -> None:
        copy = Copy(Path(folder))
        try:
            found.extend(survivors(copy, area, left, grace_s))
        finally:
            copy.close()

    with ExitStack() as stack:
        folders = [stack.enter_context(tempfile.TemporaryDirectory(prefix="mutate-")) for _ in range(jobs)]
        with ThreadPoolExecutor(jobs) as pool:
            for done in [pool.submit(work, folder) for folder in folders]:
                done.result()
    return sorted(found, key=lambda fault: (fault.module, fault.mutant.start))


def options() -> argparse.ArgumentParser:
    """Return the options of the command."""
    parser = argparse.ArgumentParser(description="Ask whether a test notices a fault in the modules that decide.")
    parser.add_argument("--module", action="append", choices=AREAS, metavar="AREA", help=f"one of: {', '.join(AREAS)}")
    parser.add_argument("--max", type=int, default=20, help="how many faults to make in each area (default: 20)")
    parser.add_argument("--seed", type=int, default=1, help="chooses which faults are made (default: 1)")
    parser.add_argument("--jobs", type=int, default=1, help="how many faults are tried at once (default: 1)")
    parser.add_argument("--grace", type=float, default=20, metavar="SECONDS", help="added to the tests' time limit")
    parser.add_argument("--list", action="store_true", help="print the faults; run nothing")
    return parser


def main() -> int:
    """Run the command; 1 when a fault survived, 2 when the tests fail by themselves."""
    args = options().parse_args()
    found: list[Fault] = []
    for name in args.module or AREAS:
        every = list(faults(AREAS[name]))
        chosen = random.Random(args.seed).sample(every, min(args.max, len(every)))  # noqa: S311  nothing secret
        print(f"== {name}: {len(chosen)} of {len(every)} faults", flush=True)
        if args.list:
            print("".join(diff(fault) for fault in chosen))
            continue
        try:
            found += survivors_of(AREAS[name], chosen, jobs=args.jobs, grace_s=args.grace)
        except ValueError as error:
            print(f"mutate.py: {name}: {error}", file=sys.stderr)
            return 2
    print(f"== survived: {len(found)}")
    for fault in found:
        print(diff(fault))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
