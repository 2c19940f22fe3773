"""Clones of repositories: one for each run, in a directory of the service.

::

    ADDRESS_ID/state/                   the state directory that all clones of one address share
    ADDRESS_ID/runs/RUN_ID/base.git     what was cloned; nothing but the service writes here
    ADDRESS_ID/runs/RUN_ID/NAME         the directory that the run works on

A run may write everything below `NAME`, also `.git` there, by the commands that it has run. The settings of a `.git`
name programs. So the result is made with `base.git`, and the service runs no git with the settings below `NAME`.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lg_policy.clones.git_program import GitFailed
from lg_policy.errors import ConfigError, InvalidArguments, LimitExceeded
from lg_policy.printing import one_line, visible
from lg_policy.state import make_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lg_policy.clones.git_program import Git
    from lg_policy.config.clone_address import CloneAddress
    from lg_policy.config.service import ServiceSettings

BASE = "base.git"
BASE_REF = "refs/lg/base"
LOCAL_S = 120.0
"""Seconds for one step of git that asks no other machine."""
PATCH_BYTES = 20_000_000
"""Of a patch, and of a bundle; a larger one is not kept."""
SUBJECT = 72


@dataclass(frozen=True, kw_only=True)
class Branch:
    """What a run changed in its clone, as a commit."""

    name: str
    commit: str
    base: str
    patch: bytes | None
    """A patch that `git apply` takes; `None` for one that is too large."""
    bundle: bytes | None
    """What `git fetch FILE NAME` takes."""

    def as_json(self) -> dict[str, str]:
        """Return what the run's report says of it."""
        return {"name": self.name, "commit": self.commit, "base": self.base}


class Workspaces:
    """The clones below one directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def state_of(self, root: str) -> Path | None:
        """Return the state directory of a clone; `None` for a directory that is no clone."""
        above = self._parts(root)
        return self.folder / above[0] / "state" if above is not None else None

    def is_clone(self, root: str) -> bool:
        """Tell whether a directory is below this one."""
        return self._parts(root) is not None

    def _parts(self, root: str) -> tuple[str, ...] | None:
        try:
            parts = Path(root).relative_to(self.folder).parts
        except ValueError:
            return None
        return parts if len(parts) == 4 and parts[1] == "runs" else None

    def run_of(self, root: str) -> Path:
        """Return the directory of the run that a clone was made for, with everything in it."""
        return Path(root).parent

    def place(self, address: CloneAddress, run_id: str) -> Path:
        """Return where the clone of a run is, or would be."""
        return self._run(address, run_id) / address.name

    def _run(self, address: CloneAddress, run_id: str) -> Path:
        name = hashlib.sha256(address.text.encode()).hexdigest()[:16]
        return self.folder / name / "runs" / run_id

    def clone(
        self, git: Git, settings: ServiceSettings, address: CloneAddress, run_id: str, epoch: int, ref: str | None
    ) -> Path:
        """Clone, and return the directory to work on. Raises `InvalidArguments`, `GitFailed`, `LimitExceeded`."""
        final = self._run(address, run_id)
        if final.is_dir():
            return final / address.name  # an earlier worker came so far
        part = final.with_name(f"{run_id}.{epoch}.part")
        for path in (self.folder, final.parent.parent / "state", final.parent):
            make_private(path)
        remove(part)
        make_private(part)
        try:
            self._fill(git, settings, address, ref, part)
            part.rename(final)
        except OSError as error:
            if not final.is_dir():
                raise GitFailed(f"the clone cannot be kept: {error}") from error
        finally:
            remove(part)
        return final / address.name

    def _fill(self, git: Git, settings: ServiceSettings, address: CloneAddress, ref: str | None, part: Path) -> None:
        base, root = part / BASE, part / address.name
        begun, most = time.monotonic(), settings.clone_max_mb * 1_000_000
        depth = ("--depth", str(settings.clone_depth)) if settings.clone_depth else ()
        branch = (f"--branch={ref}",) if ref is not None else ()
        plain = ("--template=", "--no-tags", "--single-branch", "--no-recurse-submodules", "--quiet")
        git.run(
            "clone", "--bare", "--no-local", *plain, *depth, *branch, "--", address.text, str(base),
            scheme=address.scheme, timeout_s=settings.clone_timeout_s, watched=part, most_bytes=most,
        )  # fmt: skip
        own = ("--git-dir", str(base))
        try:
            git.run(*own, "update-ref", BASE_REF, "HEAD^{commit}", timeout_s=LOCAL_S)
        except GitFailed as error:
            raise InvalidArguments(
                f"the repository {address.text} has no commit to begin from", hint="push one, or name a branch as `ref`"
            ) from error
        left_s = max(1.0, settings.clone_timeout_s - (time.monotonic() - begun))
        # The work tree comes from the clone beside it. Submodules and filters are not set up, so none is run.
        git.run(
            "clone", "--no-local", *plain, "--", f"file://{base}", str(root), scheme="file", timeout_s=left_s,
            watched=part, most_bytes=most,
        )  # fmt: skip
        git.run("-C", str(root), "remote", "set-url", "origin", address.text, timeout_s=LOCAL_S)

    def branch(
        self, git: Git, settings: ServiceSettings, root: str, run_id: str, epoch: int, request: str
    ) -> Branch | None:
        """Commit what a run changed in its clone to a branch of its own; nothing where it changed nothing.

        Raises `GitFailed`, `LimitExceeded`.
        """
        base = Path(root).parent / BASE
        index = Path(root).parent / f"index.{epoch}"
        own = ("--git-dir", str(base), "-c", "core.bare=false", "--work-tree", root)
        person, _, mail = settings.commit_author.removesuffix(">").partition(" <")
        more = {"GIT_INDEX_FILE": str(index)}
        more |= {f"GIT_{who}_{what}": text for who in ("AUTHOR", "COMMITTER")
                 for what, text in (("NAME", person), ("EMAIL", mail))}  # fmt: skip

        def ask(*arguments: str, data: bytes = b"", most_bytes: int = 10**9) -> bytes:
            return git.run(*own, *arguments, timeout_s=LOCAL_S, data=data, more=more, most_bytes=most_bytes)

        try:
            ask("read-tree", BASE_REF)
            names = _changed(ask("-C", root, "ls-files", "-z", "-o", "-m", "-d", "--exclude-standard"))
            ask("-C", root, "update-index", "--add", "--remove", "-z", "--stdin", data=names)
            tree = ask("write-tree").decode().strip()
            begun = ask("rev-parse", BASE_REF, f"{BASE_REF}^{{tree}}").decode().split()
            if tree == begun[1]:
                return None
            message = f"{one_line(visible(request), SUBJECT)}\n\nRun: {run_id}\n"
            commit = ask("commit-tree", tree, "-p", begun[0], data=message.encode()).decode().strip()
            name = f"lg/{run_id}"
            ask("update-ref", f"refs/heads/{name}", commit)
            patch = _small(ask, "diff-tree", "-p", "--binary", "--full-index", "--no-ext-diff", "--no-textconv",
                           begun[0], commit)  # fmt: skip
            bundle = _small(ask, "bundle", "create", "--quiet", "-", f"refs/heads/{name}", f"^{begun[0]}")
        finally:
            for path in (index, index.with_name(index.name + ".lock")):
                path.unlink(missing_ok=True)
        return Branch(name=name, commit=commit, base=begun[0], patch=patch, bundle=bundle)

    def require(self, root: str) -> None:
        """Raise `ConfigError` where a clone is not on this machine."""
        if self.is_clone(root) and not Path(root).is_dir():
            raise ConfigError(
                f"the clone {root} of this run is not on this machine",
                hint="workers on several machines need one directory: set service.workspaces to a path that they share",
            )

    def old(self, older_than_s: float) -> Iterator[tuple[str, Path]]:
        """Yield the runs whose clone was begun that long ago, each with the directory to remove."""
        edge = time.time() - older_than_s
        for path in self.folder.glob("*/runs/*"):
            try:
                written = path.lstat().st_mtime
            except FileNotFoundError:
                continue
            if written < edge:
                yield path.name.partition(".")[0], path


def remove(path: Path) -> None:
    """Remove a clone, whatever is in it."""
    shutil.rmtree(path, ignore_errors=True)


def _changed(listed: bytes) -> bytes:
    """The files that git lists as changed. A directory that is a repository of its own is left out."""
    names = dict.fromkeys(name for name in listed.split(b"\0") if name and not name.endswith(b"/"))
    return b"".join(name + b"\0" for name in names)


def _small(ask: Callable[..., bytes], *arguments: str) -> bytes | None:
    try:
        return ask(*arguments, most_bytes=PATCH_BYTES)
    except LimitExceeded:
        return None
