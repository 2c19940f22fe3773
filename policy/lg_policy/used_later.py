"""Puts modules off until something they define is used: `from MODULE import name` gives a stand-in for the name.

The stand-in does what its name would do, in the places where a module needs it before anybody calls it: it is called,
asked for an attribute, subclassed, joined with another type by `|`, or looked at by `isinstance`. So it suits modules
of which others only take functions and classes. It does not suit one whose constants are compared or counted with.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

Loading = Callable[[], AbstractContextManager[None]]
_forgetting = threading.Lock()


@contextmanager
def used_later(names: AbstractSet[str], loading: Loading = nullcontext) -> Iterator[None]:
    """Within the block, an import of one of the modules gets stand-ins. After it, the next import gets the module.

    A module that is imported because a stand-in is used is imported within `loading`.
    """
    finder = _StandInFinder(names, loading)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in names:
            _forget(name)


class _StandInModule(ModuleType):
    """Stands for a module that was not imported."""

    def __init__(self, name: str, loading: Loading) -> None:
        super().__init__(name)
        self.__dict__["_loading"] = loading

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        made = self.__dict__[name] = _StandIn(self, name)
        return made

    def imported(self) -> ModuleType:
        """Return the module itself; import it unless that has been done."""
        name = self.__name__
        found = sys.modules.get(name)
        if found is None or isinstance(found, _StandInModule):
            for finder in sys.meta_path:
                if isinstance(finder, _StandInFinder):
                    finder.names.discard(name)
            _forget(name)
            with self.__dict__["_loading"]():
                found = import_module(name)
        return found


class _StandIn:
    """Stands for what a module defines under a name."""

    def __init__(self, module: _StandInModule, name: str) -> None:
        self._place = module, name

    def _found(self) -> Any:
        module, name = self._place
        return getattr(module.imported(), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._found()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # who looks whether it is something special is told that it is not
            raise AttributeError(name)
        return getattr(self._found(), name)

    def __instancecheck__(self, instance: object) -> bool:
        module = sys.modules.get(self._place[0].__name__)
        if module is None or isinstance(module, _StandInModule):
            return False  # what was not imported has no instances
        return isinstance(instance, self._found())

    def __subclasscheck__(self, cls: type) -> bool:
        return issubclass(cls, self._found())

    def __getitem__(self, parameters: Any) -> Any:  # `Name[str]` in a type
        return self._found()[parameters]

    def __or__(self, other: Any) -> Any:
        return self._found() | other

    def __ror__(self, other: Any) -> Any:
        return other | self._found()

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type, ...]:
        return (self._found(),)

    def __get_pydantic_core_schema__(self, source: object, handler: Callable[[object], Any]) -> Any:
        return handler(self._found())


def _forget(name: str) -> None:
    with _forgetting:
        if isinstance(sys.modules.get(name), _StandInModule):
            del sys.modules[name]


class _StandInFinder(MetaPathFinder):
    """Finds stand-ins for the modules that are put off."""

    def __init__(self, names: AbstractSet[str], loading: Loading) -> None:
        self.names = set(names)
        self._loading = loading

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        found = PathFinder.find_spec(fullname, path, target) if fullname in self.names else None
        if found is None:
            return None
        spec = ModuleSpec(fullname, _StandInLoader(self._loading))
        spec.submodule_search_locations = found.submodule_search_locations  # its modules are imported as usual
        return spec


class _StandInLoader(Loader):
    def __init__(self, loading: Loading) -> None:
        self._loading = loading

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StandInModule(spec.name, self._loading)

    def exec_module(self, module: ModuleType) -> None:
        """Define nothing."""
