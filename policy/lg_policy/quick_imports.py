"""Start-up: the MCP SDK and LangGraph build thousands of long-lived objects on import, and most of them are not used.

Four things make an import of the SDK cost less than half (see `bench/startup`):

- The cycle collector is off: almost nothing that an import creates is garbage. Afterwards, it looks less often.
- pydantic builds the validators of a model when the model is first used (`defer_build`), not when it is defined. The
  SDK defines every message of two revisions of the protocol; a program uses a tenth of them.
- The bodies of the SDK's packages, which only re-export names of all their modules, run when such a name is asked for.
  A module is imported from where it is, such as `mcp.server.lowlevel.server`, without a client and a web server.
- In our servers and the gateway, modules whose functions and classes the SDK only calls are imported by the first call
  (`lg_policy.used_later`).
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from lg_policy.used_later import used_later

PACKAGES = frozenset({"mcp", "mcp.client", "mcp.server"})
"""Packages of the SDK whose body is put off."""
YOUNG_OBJECTS = 5_000
"""New objects after which the cycle collector looks for garbage. Python's 700 made it look after every few calls."""
USED_LATER = frozenset(
    {
        "mcp.server.auth.routes",
        "mcp.server.mcpserver",
        "mcp_types._v2025_11_25",
        "mcp_types._v2026_07_28",
        "sse_starlette",
        "starlette.applications",
    }
)
"""For programs that import the SDK alone: what is not called on stdio, and the messages of each revision of MCP.
A connection needs those of one.

`sse_starlette` brings uvicorn and click, `mcp.server.mcpserver` 25 modules, a revision 3 MB.
"""


@contextmanager
def quick_imports(later: AbstractSet[str] = frozenset()) -> Iterator[None]:
    """Import heavy modules quickly, then exempt what they made from later collections. Nested use is harmless.

    `later` names modules whose import is put off until they are used. Libraries that look closer at what they import
    than the SDK does must not be imported in such a block.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        with _bodies_later(), used_later(later, _validators_later), _validators_later():
            yield
    finally:
        if collecting:
            gc.freeze()
            gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
            gc.enable()


@contextmanager
def put_off(name: str, **given: object) -> Iterator[None]:
    """Within the block, a package that was not imported is imported by its first use, and not by being named.

    `given` is what the block's modules take from it without using it, such as classes in annotations. A thread that
    imports the package meanwhile gets one that works.
    """
    spec = find_spec(name) if name not in sys.modules else None
    if spec is None:
        yield
        return
    later = _Later(name)
    later.__spec__ = spec
    vars(later).update(given)
    sys.modules[name] = later
    try:
        yield
    finally:
        for taken in given:
            delattr(later, taken)
        later.leave()


class _Later(ModuleType):
    """Stands for a package until somebody uses it."""

    def leave(self) -> None:
        """Let the next import find the package itself."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # which is asked for by who imports a module of the package
            raise AttributeError(name)
        self.leave()
        return getattr(import_module(self.__name__), name)


@contextmanager
def _validators_later() -> Iterator[None]:
    from pydantic import BaseModel

    config = BaseModel.model_config
    before = config.get("defer_build")
    config["defer_build"] = True  # each model defined now takes this over
    try:
        yield
    finally:
        if not before:
            del config["defer_build"]


@contextmanager
def _bodies_later() -> Iterator[None]:
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    """Finds the packages whose body runs later."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in PACKAGES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _BodyLater(spec.loader)
        return spec


class _BodyLater(Loader):
    """Loads a package without running its body, until somebody asks for a name that is no module of it."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._running: set[int] = set()

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None:
            spec.loader = module.__loader__ = self._loader

        def missing(name: str) -> Any:
            return self._missing(module, name)

        module.__dict__["__getattr__"] = missing

    def _missing(self, module: ModuleType, name: str) -> Any:
        thread = threading.get_ident()
        if thread in self._running or (name.startswith("__") and name != "__all__"):
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        try:
            return import_module(f"{module.__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{module.__name__}.{name}":
                raise
        self._running.add(thread)  # the body is no place to look for what it has not defined yet
        try:
            self._loader.exec_module(module)
        finally:
            self._running.discard(thread)
        module.__dict__.pop("__getattr__", None)
        return getattr(module, name)
