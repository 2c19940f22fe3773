"""Make the clone's `.venv` from the pinned, hashed requirements; `dev.sh` and `dev.ps1` call this when it is stale.

Standard library only: it runs on the machine's own Python before anything is installed. What it guarantees:

- one set-up at a time: a lock on `.venv.lock`, inherited by the installers, so it lasts until the last one ended;
- nothing half-done: `.venv/lg-unfinished` is written first and removed last; an environment that has it is made anew;
- the caller's directory is never seen: everything runs in `scripts/`, whose empty `uv.toml` ends uv's search for
  configuration, with Python isolated (`-I`). The person's own pip and uv settings (mirrors, proxies, keys) count.

It does not protect against a hostile `PATH`, nor against someone who can write into the clone.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "scripts"
BOOTSTRAP = HERE / "bootstrap-requirements.txt"
VENV = ROOT / ".venv"
STAMP = VENV / "lg-stamp"
UNFINISHED = VENV / "lg-unfinished"
WINDOWS = os.name == "nt"
PYTHON = VENV / ("Scripts/python.exe" if WINDOWS else "bin/python")
PACKAGES = (
    "policy",
    "servers",
    "gateway",
    "orchestrator",
    "console",
    "scripts",
    "tests",
    "eval",
    "bench",
    "conformance",
)
DISTRIBUTION = "lg-orchestration-platform"
OLDEST_PYTHON = (3, 11)
OLDEST_UV = (0, 5)
# Of pip's and uv's variables only these kinds pass: where packages come from, not what is installed or where.
PASSING = re.compile(
    "INDEX|FIND_LINKS|CONFIG_FILE|CACHE|CERT|TLS|SSL|PROXY|HOST|TIMEOUT|RETRIES|KEYRING|AUTH|OFFLINE|LINK_MODE|CONCURRENT"
)
PYTHONS_OWN = {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONPLATLIBDIR", "VIRTUAL_ENV", "CONDA_PREFIX"}


class SetUpError(Exception):
    """The environment cannot be made; the text says what to do."""


def say(text: str) -> None:
    """Print progress; standard output belongs to the command that follows."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def one_at_a_time() -> Iterator[int]:
    """Hold the clone's set-up lock; yields its descriptor. Raises `SetUpError` where the clone cannot be written."""
    if not os.access(ROOT, os.W_OK):
        raise SetUpError(not_writable(ROOT))
    try:
        lock = os.open(ROOT / ".venv.lock", os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError as error:
        raise SetUpError(not_writable(ROOT / ".venv.lock")) from error
    try:
        if WINDOWS:
            lock_on_windows(lock)
        else:
            lock_elsewhere(lock)
        yield lock
    finally:
        os.close(lock)


def lock_elsewhere(lock: int) -> None:
    """Wait for the lock; the kernel drops it when the last process that holds the descriptor ends."""
    import fcntl

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another set-up of this clone is under way; waiting for it")
        fcntl.flock(lock, fcntl.LOCK_EX)


def lock_on_windows(lock: int) -> None:
    """Wait for the lock; `LK_LOCK` itself gives up after ten tries, one a second."""
    if sys.platform == "win32":
        import msvcrt

        while True:
            try:
                msvcrt.locking(lock, msvcrt.LK_LOCK, 1)
            except OSError:
                say("another set-up of this clone is under way; waiting for it")
            else:
                return


def not_writable(path: Path) -> str:
    """Say what to do where the clone belongs to somebody else."""
    return (
        f"cannot write to {path}, and the environment in {VENV} is missing or out of date.\n"
        "Clone the repository into a directory of your own, or let its owner run `./scripts/dev.sh setup` once."
    )


def environment() -> dict[str, str]:
    """Return the variables for the installers: the caller's, less those that would redirect an installation."""
    kept = {name: value for name, value in os.environ.items() if passes(name, value)}
    kept["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    kept["UV_PYTHON_DOWNLOADS"] = "never"
    cache_home = kept.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    if not (WINDOWS or {"UV_CACHE_DIR", "UV_NO_CACHE"} & kept.keys()) and not can_create(Path(cache_home)):
        kept["UV_NO_CACHE"] = "1"
    return kept


def passes(name: str, value: str) -> bool:
    """Tell whether an installer may see this variable; a configuration file with a relative name is left out."""
    if name.endswith("_CONFIG_FILE") and not os.path.isabs(value):
        return False
    return name not in PYTHONS_OWN and (not name.startswith(("PIP_", "UV_")) or PASSING.search(name) is not None)


def can_create(directory: Path) -> bool:
    """Tell whether `directory` could be made and filled, without making it."""
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    return directory.is_dir() and os.access(directory, os.W_OK | os.X_OK)


def run(argv: list[str], lock: int, extra: dict[str, str] | None = None) -> None:
    """Run one installer step in `scripts/`, its output on standard error. Raises `SetUpError` when it fails."""
    descriptors = () if WINDOWS else (lock,)
    done = subprocess.run(
        argv,
        cwd=HERE,
        env=environment() | (extra or {}),
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        pass_fds=descriptors,
        check=False,
    )
    if done.returncode != 0:
        command = " ".join(str(part) for part in argv[:4])
        raise SetUpError(
            f"a set-up step failed with status {done.returncode} (its messages are above): {command} …\n"
            "It needs your package index: behind a mirror, configure pip (`pip config set global.index-url …`), "
            "or uv (`UV_DEFAULT_INDEX`) where uv is installed."
        )


def system_uv() -> str | None:
    """Return the machine's own uv when it is recent enough for what is asked of it."""
    found = shutil.which("uv")
    if found is None or not os.path.isabs(found):
        return None
    told = subprocess.run([found, "--version"], cwd=HERE, capture_output=True, text=True, check=False).stdout
    match = re.search(r"(\d+)\.(\d+)", told)
    return found if match and (int(match[1]), int(match[2])) >= OLDEST_UV else None


def pip_indexes() -> dict[str, str]:
    """Return pip's index settings in uv's words, for a machine that is configured for pip only."""
    listing = subprocess.run(
        [str(PYTHON), "-I", "-m", "pip", "config", "list"],
        cwd=HERE,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found: dict[str, str] = {}
    for section in ("global", "install", ":env:"):  # the later one wins, as in pip
        for name, value in re.findall(rf"^{section}\.([a-z-]+)=(['\"].*)$", listing, flags=re.MULTILINE):
            found[name] = str(ast.literal_eval(value))
    names = {
        "index-url": "UV_DEFAULT_INDEX",
        "extra-index-url": "UV_INDEX",
        "find-links": "UV_FIND_LINKS",
        "trusted-host": "UV_INSECURE_HOST",
        "cert": "SSL_CERT_FILE",
    }
    settings = {names[name]: " ".join(value.split()) for name, value in found.items() if name in names}
    if found.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        settings["UV_NO_INDEX"] = "1"
    if "UV_FIND_LINKS" in settings:
        settings["UV_FIND_LINKS"] = settings["UV_FIND_LINKS"].replace(" ", ",")
    settings["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # pip's way; safe here because every file's hash is pinned
    return {name: value for name, value in settings.items() if name not in os.environ}


def clear() -> None:
    """Empty `.venv`, its unfinished mark last, so that an interruption here is noticed too."""
    VENV.mkdir(exist_ok=True)
    UNFINISHED.touch()
    for entry in VENV.iterdir():
        if entry == UNFINISHED:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def usable(chosen: str) -> bool:
    """Tell whether the present environment can be brought up to date where it is."""
    if UNFINISHED.exists() or not PYTHON.exists():
        return False
    if STAMP.exists():
        lines = STAMP.read_text(encoding="utf-8").splitlines()
        if lines[:1] != [str(ROOT)] or (chosen and lines[2:3] != [chosen]):
            return False
    probe = f"import sys; sys.exit(not (sys.prefix != sys.base_prefix and sys.version_info >= {OLDEST_PYTHON}))"
    return succeeds(PYTHON, probe)


def succeeds(python: str | Path, code: str) -> bool:
    """Tell whether `python` runs and `code` ends with status 0 in it."""
    argv = [str(python), "-I", "-c", code]
    return subprocess.run(argv, cwd=HERE, check=False, stderr=subprocess.DEVNULL).returncode == 0


def create(lock: int) -> None:
    """Make an empty environment, without pip: `install` adds that where it is needed."""
    clear()
    base = os.path.realpath(sys.executable)  # a versioned name: an upgrade of Python removes it rather than changing it
    run([base, "-I", "-m", "venv", "--without-pip", str(VENV)], lock)


def install_uv(lock: int) -> str:
    """Put the pinned uv into the environment by pip, for a machine that has none. Raises `SetUpError`."""
    isolated = [str(PYTHON), "-I", "-m"]
    if not succeeds(PYTHON, "import pip"):
        if not succeeds(PYTHON, "import ensurepip.__main__"):
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            raise SetUpError(
                f"{os.path.realpath(sys.executable)} lacks `ensurepip` and there is no `uv`: nothing can install.\n"
                f"On Debian and Ubuntu: apt install python{version}-venv   (elsewhere: a complete Python, or uv)"
            )
        run([*isolated, "ensurepip", "--default-pip"], lock)
    pip = [*isolated, "pip", "install", "--quiet", "--no-deps", "--no-user", "--only-binary=:all:"]
    run([*pip, "--require-hashes", "-r", str(BOOTSTRAP)], lock)
    return str(PYTHON.parent / ("uv.exe" if WINDOWS else "uv"))


def install(uv: str | None, lock: int) -> None:
    """Install the pinned uv, the pinned requirements and this clone itself."""
    extra: dict[str, str] = {}
    if uv is None:
        uv = install_uv(lock)
        extra = pip_indexes()
    into = [uv, "pip", "install", "--quiet", "--python", str(PYTHON), "--no-deps"]
    pinned = ["--require-hashes", "-r", str(BOOTSTRAP), "-r", str(ROOT / "requirements.txt")]
    run([*into, "--compile-bytecode", *pinned], lock, extra)
    run([*into, "--no-build-isolation", "--reinstall-package", DISTRIBUTION, "-e", str(ROOT)], lock, extra)
    run([uv, "pip", "check", "--quiet", "--python", str(PYTHON)], lock)
    sources = [str(ROOT / name) for name in PACKAGES if (ROOT / name).is_dir()]
    run([str(PYTHON), "-I", "-m", "compileall", "-q", *sources], lock)


def set_up(wanted: str, chosen: str) -> None:
    """Bring `.venv` up to date under the lock and write `wanted` as its stamp. Raises `SetUpError`."""
    with one_at_a_time() as lock:
        text = f"{ROOT}\n{wanted}\n{chosen}\n"
        if not UNFINISHED.exists() and STAMP.exists():
            lines = STAMP.read_text(encoding="utf-8").splitlines()
            if lines[:2] == text.splitlines()[:2] and chosen in {"", *lines[2:3]} and PYTHON.exists():
                return  # somebody else did it while we waited
        if VENV.exists() and not os.access(VENV, os.W_OK):
            raise SetUpError(not_writable(VENV))
        uv = system_uv()
        how = f"with {uv}" if uv else "with pip, which installs uv first"
        if usable(chosen):
            say(f"bringing {VENV} up to date {how}")
            UNFINISHED.touch()
        else:
            say(f"making {VENV} {how}; this takes a minute, once")
            create(lock)
        STAMP.unlink(missing_ok=True)
        install(uv, lock)
        STAMP.write_text(text, encoding="utf-8")
        UNFINISHED.unlink()
        say("the environment is ready")


def main() -> int:
    """Parse `--stamp` and make the environment; the exit status is 2 where that is impossible."""
    parser = argparse.ArgumentParser(description="Make this clone's .venv (called by dev.sh and dev.ps1).")
    parser.add_argument("--stamp", required=True, help="what the caller compares to know that nothing has changed")
    parser.add_argument("--chosen", default="", help="the interpreter asked for with LG_PYTHON")
    flags = parser.parse_args()
    if sys.version_info < OLDEST_PYTHON:
        say(f"dev: {sys.executable} is Python {sys.version.split()[0]}; 3.11 or newer is needed")
        return 2
    try:
        set_up(flags.stamp, flags.chosen)
    except (SetUpError, OSError) as error:
        say(f"dev: {error}")
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
