"""Finds and creates the directories of state and keys: private, outside the root, the same from any directory.

Layout below `$XDG_STATE_HOME/lg` (or the platform's equivalent): `index.json` maps ids to paths, `<id>/` holds one
root's ledger, journals and logs. Keys live below the configuration directory, so a program that can write
only the state cannot forge what the keys protect.

Not covered: another program of the same user can read and write all of this.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import secrets
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lg_policy.errors import ConfigError

if sys.platform != "win32":
    import fcntl

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StateDir:
    """One root's private directory. `id` names it in `index.json` and in tools' `_meta["lg/root"]`."""

    path: Path
    id: str


def root_id(path: Path) -> str:
    """Return the id of a root: the first 16 hex digits of the SHA-256 of its real path."""
    return hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:16]


def state_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the directory above all state directories."""
    return _base(environ, "XDG_STATE_HOME", ".local/state", "Library/Application Support", "LOCALAPPDATA")


def config_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the directory of the user's own settings file and trust records."""
    return _base(environ, "XDG_CONFIG_HOME", ".config", "Library/Application Support", "APPDATA")


def cache_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the directory of what can be removed at any time: it is made anew where it is needed."""
    return _base(environ, "XDG_CACHE_HOME", ".cache", "Library/Caches", "LOCALAPPDATA")


def open_state(
    *,
    root: Path | None,
    config: Path | None = None,
    explicit: Path | None = None,
    existing: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> StateDir:
    """Find or create (mode 0700) the state directory of `root`, or of `config` if there is no root.

    `explicit` (`--state-dir`, `LG_STATE_DIR`) is used as it is; with `existing` it must be there, else its making is
    told: its name may have been mistyped. Raises `ConfigError` when the directory would lie inside the root, where the
    agent could reach it, or cannot be created.
    """
    subject = root if root is not None else config
    if subject is None:
        raise ConfigError("neither a root nor a configuration file is known", hint="pass --root DIR or --config FILE")
    state_id = root_id(subject)
    path = explicit.absolute() if explicit is not None else state_home(environ) / state_id
    if root is not None:
        refuse_inside(path, root, "the state directory")
        refuse_around_settings(root, environ)
    if explicit is not None and existing:
        refuse_missing(path)
    if explicit is not None and not path.exists():
        log.warning("made the state directory %r, which was not there", str(path))
    make_private(path)
    if explicit is None:
        _record(path.parent, state_id, os.path.realpath(subject))
    return StateDir(path=path, id=state_id)


def refuse_missing(path: Path) -> None:
    """Raise `ConfigError` for a state directory that is not there: in a new one, nothing would be found."""
    if not path.is_dir():
        raise ConfigError(f"there is no state directory {path}", hint="check --state-dir or LG_STATE_DIR")


def root_lock(root: Path, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file that our programs lock while they change files below `root`. Creates its directory.

    The file is the same for every `--state-dir`, and lies outside the root: a sandboxed command can lock the root
    directory itself, but not this file. Returns `None` if there is no such place.
    """
    path = state_home(environ) / "locks" / f"{root_id(root)}.lock"
    try:
        refuse_inside(path, root, "the lock")
        make_private(path.parent)
    except ConfigError:
        return None
    return path


def find_states(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return every known id with the path it belongs to."""
    return _read_index(state_home(environ) / "index.json")


def key_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Find or create (mode 0700) the key directory: `LG_KEY_DIR`, or else `keys` in the configuration directory."""
    explicit = environ.get("LG_KEY_DIR")
    path = Path(explicit).absolute() if explicit else config_home(environ) / "keys"
    refuse_inside(path, state_home(environ), "the key directory")
    if environ.get("LG_STATE_DIR"):
        refuse_inside(path, Path(environ["LG_STATE_DIR"]), "the key directory")
    make_private(path)
    return path


def load_key(name: str, environ: Mapping[str, str] = os.environ, *, size: int = 32) -> bytes:
    """Return the key `name`. The first use creates it with mode 0600; concurrent processes get the same bytes.

    Raises `ConfigError` when the file is not `size` bytes long.
    """
    path = key_dir(environ) / f"{name}.key"
    try:
        key = _made_or_read(path, size)
    except OSError as error:
        raise ConfigError(f"cannot read or make the key {path}: {error.strerror or error}") from error
    if len(key) != size:
        raise ConfigError(
            f"{path} holds {len(key)} bytes, not {size}", hint="restore it from a backup, or remove it to start anew"
        )
    return key


def _made_or_read(path: Path, size: int) -> bytes:
    if not path.exists():
        temporary = path.with_name(f".{path.stem}.{secrets.token_hex(8)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(size))
                file.flush()
                os.fsync(file.fileno())
            # link() fails if another process was first: its key is the key.
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
        finally:
            os.unlink(temporary)
    return path.read_bytes()


def refuse_inside(path: Path, root: Path, what: str, hint: str = "choose a directory outside of it") -> None:
    """Raise `ConfigError` if `path`, its symlinks resolved as far as it exists, is `root` or lies below it."""
    real, real_root = os.path.realpath(path), os.path.realpath(root)
    if os.path.commonpath([real, real_root]) == real_root:
        raise ConfigError(f"{what} {real} lies inside {real_root}", hint=hint)


def refuse_around_settings(root: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Raise `ConfigError` if the user's settings or the keys lie below the root, where the agent could reach them."""
    refuse_inside(config_home(environ), root, "the directory of your settings and keys", hint="choose a smaller root")
    if environ.get("LG_KEY_DIR"):
        refuse_inside(Path(environ["LG_KEY_DIR"]), root, "the key directory")


def make_private(path: Path) -> None:
    """Create `path` with mode 0700. Raises `ConfigError` if that fails, another user owns it, or all share it.

    Missing directories above it are created private too: others could rename names in a directory that they may write.
    """
    try:
        for missing in reversed([above for above in path.parents if not above.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.stat()
        if os.name == "posix":
            if status.st_uid != os.geteuid():
                raise ConfigError(
                    f"{path} belongs to user {status.st_uid}, not to you", hint="set LG_STATE_DIR or LG_KEY_DIR"
                )
            if status.st_mode & stat.S_ISVTX or path.resolve().parent == path.resolve():
                raise ConfigError(
                    f"{path} is shared by all users of this machine, and is not made private",
                    hint="name a directory of your own, such as one below it",
                )
            if status.st_mode & 0o077:
                path.chmod(0o700)
    except OSError as error:
        raise ConfigError(
            f"cannot use {path}: {error.strerror or error}", hint="set LG_STATE_DIR or LG_KEY_DIR"
        ) from error


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes during the block. It ends with the process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform != "win32":
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def try_file_lock(path: Path) -> contextlib.ExitStack | None:
    """Take an exclusive lock between processes, to be left when done; `None` while another process holds it."""
    held = contextlib.ExitStack()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    held.callback(os.close, descriptor)
    try:
        if sys.platform != "win32":
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        return None
    return held


def replace_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write `data` to `path` so that readers and a crash see the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mode != 0o600:
            temporary.chmod(mode)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise


def _base(environ: Mapping[str, str], variable: str, posix: str, mac: str, windows: str) -> Path:
    value = environ.get(variable)
    if value and os.path.isabs(value):
        return Path(value) / "lg"
    if sys.platform == "win32" and environ.get(windows):
        return Path(environ[windows]) / "lg"
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    return home / (mac if sys.platform == "darwin" else posix) / "lg"


def _record(home: Path, state_id: str, subject: str) -> None:
    index = home / "index.json"
    if _read_index(index).get(state_id) == subject:
        return
    with file_lock(home / "index.lock"):
        entries = _read_index(index)
        entries[state_id] = subject
        replace_file(index, json.dumps(entries, indent=1, sort_keys=True).encode())


def _read_index(path: Path) -> dict[str, str]:
    try:
        entries = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}", hint="remove it; it is rebuilt as roots are used") from error
    if not isinstance(entries, dict):
        raise ConfigError(f"{path} does not hold an object", hint="remove it; it is rebuilt as roots are used")
    return {str(key): str(value) for key, value in entries.items()}
