"""Where programs are found, and which environment variables a command gets. A request decides neither.

A project's own environment lies below the root and is therefore hostile. The home of its interpreter is believed only
if it looks like a Python installation, and never if it is a home directory or would show one.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lg_exec.process.known_environments import Candidate, candidates, node_version
from lg_exec.process.script_interpreter import gone_interpreter
from lg_policy.config.settings import CommandTemplate
from lg_policy.errors import NotFound
from lg_policy.printing import visible

SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_HOME_TOOLS = (".local/bin", ".cargo/bin", ".nvm/versions/node/*/bin", ".volta/bin", ".bun/bin", "go/bin")
_OTHER_TOOLS = ("/usr/local/go/bin", "/opt/homebrew/bin", "/opt/*/bin", "/snap/bin")
_PYTHON_TOOLS = ("python", "pytest", "ruff", "mypy")
_NODE_TOOLS = {"tsc": "typescript"}  # by the package that brings them
_BIN, _EXE = ("Scripts", ".exe") if sys.platform == "win32" else ("bin", "")
"""On Windows only `.exe` programs run. cmd.exe runs batch files, and arguments cannot be passed to it safely."""
_KERNELS = ("/proc", "/sys", "/dev")
"""Where the kernel makes up what a name leads to, such as the root directory of a process."""
_SYSTEM_PREFIXES = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")


@dataclass(frozen=True, kw_only=True)
class ProjectEnvironment:
    """The project's own programs. `prefixes` are the directories outside the root that they need."""

    path: str
    bin: str
    kind: str
    why: str = ""
    """What says so, where it is none of the usual places below the root."""
    prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Program:
    """A resolved executable and what it needs: directories outside the system's, and environment variables."""

    path: str
    prefixes: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


_PYTHON_PROJECT = (
    "pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "Pipfile", "uv.lock", "environment.yml", "tox.ini",
)  # fmt: skip
_OTHER_PROJECT = ("package.json", "Cargo.toml", "go.mod", "pom.xml", "build.gradle", "Makefile", "CMakeLists.txt")


class Programs:
    """Finds executables: on a fixed search path, in the project's environment, or beside this server's interpreter."""

    def __init__(
        self, root: Path, environment: str, *, home: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self._root = str(root)
        self._environ = environ or {}
        self._home = str(home or _home())
        self._setting = environment
        self._found: dict[str, str] = {}
        self.search_path = tuple(self._search_path())

    def find(self, name: str, template: CommandTemplate) -> Program:
        """Resolve a template's executable. Raises `NotFound`, which says how to get it."""
        wanted = template.executable or name
        if template.from_ == "python":
            return Program(path=sys.executable, prefixes=_outside((sys.prefix, sys.base_prefix)))
        if template.from_ == "project":
            if wanted == "python" and not template.prefix and self._has_no_python():
                wanted = "python3"  # of the machine: the project has none to prefer
            else:
                return self._in_project(wanted)
        named = wanted if wanted.lower().endswith(_EXE) else wanted + _EXE
        candidates = [named] if os.path.isabs(wanted) else [f"{place}/{named}" for place in self.search_path]
        # A program that was found once stays. One that is put earlier on the path later was not there at the start.
        for candidate in (self._found.get(wanted, ""), *candidates):
            if os.access(candidate, os.X_OK) and os.path.isfile(candidate):
                program = self._system_program(wanted, candidate)
                self._found[wanted] = candidate
                return program
        raise NotFound(
            f"the program {wanted!r} is not installed on this machine",
            hint=f"a person has to install it into one of: {os.pathsep.join(self.search_path)}",
        )

    def _system_program(self, wanted: str, path: str) -> Program:
        real = os.path.realpath(path)
        if _within(real, self._root) or _within(path, self._root):
            raise NotFound(
                f"the program {wanted!r} is found inside the root only",
                hint='set from = "project" to run it from there',
            )
        env: dict[str, str] = {}
        prefixes = [prefix for place in (path, real) if (prefix := self._prefix(place))]
        cargo, rustup = f"{self._home}/.cargo", f"{self._home}/.rustup"
        name = os.path.basename(wanted)
        if name == "cargo" and _within(path, cargo):
            env = {"CARGO_HOME": cargo, "RUSTUP_HOME": rustup}
            prefixes += [f"{cargo}/bin", f"{cargo}/registry", f"{cargo}/git", rustup]
        if name == "go":
            env = {"GOPATH": f"{self._home}/go"}
            prefixes.append(f"{self._home}/go/pkg/mod")
        if name == "git":
            env = git_environment()
        if name == "uv":
            prefixes.append(f"{self._home}/.local/share/uv/python")
        return Program(
            path=path, prefixes=tuple(dict.fromkeys(prefix for prefix in prefixes if os.path.exists(prefix))), env=env
        )

    def _prefix(self, path: str) -> str | None:
        """Return what must be visible for the program to run: its installation, or the file alone.

        A directory straight below the home is never shown as a whole. `~/.local` has keyrings beside its `lib`.
        """
        if path.startswith(tuple(f"{prefix}/" for prefix in _SYSTEM_PREFIXES)):
            return None
        install = os.path.dirname(os.path.dirname(path))
        whole = os.path.isdir(f"{install}/lib") and not _within(self._home, install)
        return install if whole and os.path.dirname(install) != self._home else path

    def _in_project(self, wanted: str) -> Program:
        projects = self.projects()
        for project in projects:
            path = f"{project.bin}/{wanted}{_EXE}"
            if project.kind == "venv" and (gone := gone_interpreter(path)):
                why = f"{visible(gone[:300])} is not there: the environment was moved, or its Python was removed"
                raise NotFound(
                    f"{path} cannot be started: {why}", hint=f"make it anew, {self._how_to_create(wanted, anew=True)}"
                )
            if os.path.isfile(path) and os.access(path, os.X_OK):
                return Program(path=path, prefixes=project.prefixes)
        node = self._is_node(wanted)
        there = next((project for project in projects if (project.kind == "node") == node), None)
        if there is None:
            where = "" if self._setting in ("auto", "none") else f" at {self._places()[0]}"
            raise NotFound(
                f"the project has no environment of its own{where} with {wanted!r}", hint=self._how_to_create(wanted)
            )
        how = (
            f"npm install --save-dev {_NODE_TOOLS.get(wanted, wanted)}"
            if node
            else f"{there.bin}/python -m pip install {wanted}"
        )
        raise NotFound(
            f"{wanted!r} is not installed in the project's environment {there.path}", hint=f"in {self._root}: {how}"
        )

    def _has_no_python(self) -> bool:
        """Return whether the project is one of other languages, for which nobody makes a Python environment."""
        if self._setting != "auto" or self._has(*_PYTHON_PROJECT):
            return False
        return self._has(*_OTHER_PROJECT) and not any(project.kind == "venv" for project in self.projects())

    def projects(self) -> list[ProjectEnvironment]:
        """Return the project's environments. They are looked up each time, because they may be made meanwhile."""
        if self._setting == "none":
            return []
        found = [found for place in self._places() if (found := self._environment_at(place)) is not None]
        if self._setting != "auto" or any(project.kind == "venv" for project in found):
            return found
        return [*self._elsewhere(), *found]

    def environment_of(self, path: str) -> str:
        """Return the environment that a program belongs to, and what says so; "" for a program of none."""
        for project in self.projects():
            if os.path.dirname(path) == project.bin:
                return f"{project.path} ({project.why})" if project.why else project.path
        return ""

    def _elsewhere(self) -> list[ProjectEnvironment]:
        """The one Python environment that the shell or a tool names: the first with pytest, else the first."""
        found: list[ProjectEnvironment] = []
        for candidate in candidates(self._root, self._home, self._environ):
            project = self._believed(candidate)
            if project is not None and os.path.isfile(f"{project.bin}/pytest{_EXE}"):
                return [project]
            found += [project] if project is not None else []
        return found[:1]

    def _believed(self, candidate: Candidate) -> ProjectEnvironment | None:
        """A directory that is a Python environment, and shows neither a home nor what holds the root."""
        place, real = candidate.path, os.path.realpath(candidate.path)
        below = _within(place, self._root)
        if below != _within(real, self._root):
            return None  # a link that leads out of the root, or into it
        if any(_within(path, holder) for path in (self._home, self._root) for holder in (place, real)):
            return None
        if any(_within(real, kernel) for kernel in _KERNELS) or not os.path.isfile(f"{place}/{_BIN}/python{_EXE}"):
            return None
        is_venv = os.path.isfile(f"{place}/pyvenv.cfg")
        if not is_venv and not os.path.isdir(f"{place}/conda-meta") and not (candidate.why == "pyenv" and not below):
            return None
        outside = () if below else _outside((place, real))
        bases = self._bases(place) if is_venv else ()
        return ProjectEnvironment(
            path=place, bin=f"{place}/{_BIN}", kind="venv", why=candidate.why, prefixes=(*outside, *bases)
        )

    def _places(self) -> list[str]:
        if self._setting != "auto":
            return [os.path.join(self._root, self._setting)]
        return [f"{self._root}/.venv", f"{self._root}/venv", f"{self._root}/node_modules"]

    def _environment_at(self, place: str) -> ProjectEnvironment | None:
        real = os.path.realpath(place)
        if self._setting == "auto" and not _within(real, self._root):
            return None  # nobody chose a link that leads out of the root
        if os.path.isdir(f"{place}/.bin"):
            return ProjectEnvironment(path=place, bin=f"{place}/.bin", kind="node")
        if os.path.isfile(f"{place}/pyvenv.cfg"):
            outside = () if _within(real, self._root) else (place, real)
            return ProjectEnvironment(
                path=place, bin=f"{place}/{_BIN}", kind="venv", prefixes=(*outside, *self._bases(place))
            )
        if self._setting != "auto" and os.path.isdir(f"{place}/bin"):
            return ProjectEnvironment(path=place, bin=f"{place}/bin", kind="prefix", prefixes=_outside((place, real)))
        return None

    def _bases(self, venv: str) -> tuple[str, ...]:
        """Return the installations that a virtual environment's interpreter needs, as far as they can be believed."""
        found: list[str] = []
        for interpreter in _links(f"{venv}/bin/python"):
            base = os.path.dirname(os.path.dirname(interpreter))
            try:
                real = os.path.realpath(base)
            except PermissionError:  # another process's root, say
                continue
            # By every name it has: a link elsewhere on this machine may lead to a home, or to everything.
            if self._is_python(base) and self._is_python(real):
                found += (base, real)
        return _outside(found)

    def _is_python(self, prefix: str) -> bool:
        if _within(self._root, prefix) or _within(self._home, prefix) or _within(prefix, self._root):
            return False
        if any(_within(prefix, place) for place in _KERNELS):
            return False
        return any(os.path.isfile(found) for found in glob.glob(f"{glob.escape(prefix)}/lib/python3*/os.py"))

    def _is_node(self, wanted: str) -> bool:
        """Return whether a program belongs to Node rather than Python, judged by its name and the project's files."""
        if wanted in _PYTHON_TOOLS or wanted in _NODE_TOOLS:
            return wanted in _NODE_TOOLS
        return self._has("package.json") and not self._has("pyproject.toml", "setup.py", "requirements.txt")

    def _has(self, *names: str) -> bool:
        return any(os.path.isfile(f"{self._root}/{name}") for name in names)

    def _how_to_create(self, wanted: str, *, anew: bool = False) -> str:
        if self._is_node(wanted):
            package = _NODE_TOOLS.get(wanted, wanted)
            return f"in {self._root}: npm install" + ("" if self._has("package.json") else f" --save-dev {package}")
        if self._setting == "none":
            return 'set [exec] environment = "auto", or the path of a virtual environment'
        venv = ".venv" if self._setting == "auto" else self._setting
        if self._has("uv.lock") and venv == ".venv":
            return f"in {self._root}: uv sync"
        things = ["-e ."] if self._has("pyproject.toml", "setup.py") else []
        things += ["-r requirements.txt"] if self._has("requirements.txt") else []
        things += [wanted] if wanted != "python" else []
        install = f" && {venv}/bin/python -m pip install {' '.join(things)}" if things else ""
        return f"in {self._root}: python3 -m venv {'--clear ' if anew else ''}{venv}{install}"

    def _search_path(self) -> Iterator[str]:
        if sys.platform == "win32":
            yield from _windows_search_path(self._home)
            return
        yield from SYSTEM_PATH
        for pattern in (*(f"{glob.escape(self._home)}/{tool}" for tool in _HOME_TOOLS), *_OTHER_TOOLS):
            yield from sorted(glob.glob(pattern), key=self._node_first, reverse=True)

    def _node_first(self, place: str) -> tuple[bool, str]:
        """The Node.js that the project asks for comes before others."""
        wanted = node_version(self._root)
        named = bool(wanted) and f"{place}/".replace("/bin/", ".").find(f"/node/v{wanted}.") >= 0
        return named, place


_OFFLINE = {"npm_config_offline": "true", "CARGO_NET_OFFLINE": "true", "GOPROXY": "off", "UV_OFFLINE": "1"}
"""With these variables package managers say at once what is missing, instead of trying to download it."""


def base_environment(*, home: str, tmp: str, path: str, network: bool) -> dict[str, str]:
    """Return the variables that every command gets. Nothing of this server's own environment is among them."""
    return {
        "PATH": path,
        "HOME": home,
        "TMPDIR": tmp,
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "PAGER": "cat",
        "PYTHONUNBUFFERED": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "npm_config_update_notifier": "false",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly",
        "UV_PYTHON_DOWNLOADS": "never",
        **({} if network else _OFFLINE),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        **_git_settings({}),
    }


def git_environment() -> dict[str, str]:
    """Return settings under which `git` runs no program that a repository or a user has configured.

    The template's own arguments switch external diff programs and text conversion off.

    Not covered: `status` runs `filter.<name>.clean` of the repository's configuration. The sandbox contains it, and
    hides `.git/config` unless the policy allows reading it.
    """
    forced = {
        "core.fsmonitor": "false",
        "core.quotePath": "false",  # names as they are, or nobody finds `"\\303\\244.txt"` again
        "core.hooksPath": "/dev/null",
        "core.pager": "cat",
        "core.editor": "false",
        "core.sshCommand": "false",
        "core.attributesFile": "/dev/null",
        "protocol.allow": "never",
        "credential.helper": "",
        "gpg.program": "false",
    }
    return {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_PAGER": "cat", **_git_settings(forced)}


def _git_settings(forced: Mapping[str, str]) -> dict[str, str]:
    """Return git settings as environment variables, which win over every file. Any owner of the files is accepted."""
    settings = {"safe.directory": "*", **forced}
    numbered = {f"GIT_CONFIG_KEY_{i}": key for i, key in enumerate(settings)}
    numbered |= {f"GIT_CONFIG_VALUE_{i}": value for i, value in enumerate(settings.values())}
    return {"GIT_CONFIG_COUNT": str(len(settings)), **numbered}


def _windows_search_path(home: str) -> Iterator[str]:
    yield os.path.join(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32")
    programs = os.environ.get("PROGRAMFILES", r"C:\Program Files")
    yield from (os.path.join(programs, *place) for place in (("Git", "cmd"), ("nodejs",), ("Go", "bin")))
    yield from (os.path.join(home, *place) for place in ((".cargo", "bin"), (".local", "bin")))


def _home() -> Path:
    if sys.platform == "win32":
        return Path.home()
    import pwd

    return Path(pwd.getpwuid(os.geteuid()).pw_dir)


def _within(path: str, directory: str) -> bool:
    path, directory = os.path.normcase(path), os.path.normcase(directory)  # changes nothing but on Windows
    return path == directory or path.startswith(directory.rstrip(os.sep) + os.sep)


def _outside(paths: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Return the paths that the sandbox does not show anyway, each of them once."""
    return tuple(dict.fromkeys(path for path in paths if not any(_within(path, system) for system in _SYSTEM_PREFIXES)))


def _links(path: str) -> Iterator[str]:
    """Yield the places that a chain of symlinks leads through and to, at most 16."""
    for _ in range(16):
        if not os.path.islink(path):
            break
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
        yield path
