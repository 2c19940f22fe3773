"""The roots of one server: from the path in a call to a root, a name below it, and the rules that hold there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lg_fs.job import Job
from lg_fs.tree.look_alikes import suggestion
from lg_fs.tree.walk import Walk, WalkPlan
from lg_policy.config.settings import FsSettings
from lg_policy.errors import ConfigError, InvalidArguments, LgError, NotFound, PolicyDenied
from lg_policy.paths.globs import FileRules
from lg_policy.paths.root import Opened, Root


@dataclass(frozen=True, kw_only=True)
class ServedRoot:
    """A root, and the prefix ("" or "NAME/") that its paths carry on the wire."""

    root: Root
    prefix: str
    rules: FileRules


@dataclass(frozen=True, kw_only=True)
class Located:
    """A path of a call: its root and the name below it, checked as text but not yet opened."""

    place: ServedRoot
    rel: str

    @property
    def shown(self) -> str:
        """The path as the client knows it."""
        return self.place.prefix + self.rel

    def unopened(self, error: NotFound | InvalidArguments) -> LgError:
        """What to answer when this cannot be opened: nothing is there, or something else than was asked for.

        A name that may not be read is refused as if all were well with it, so that no answer tells what is there. For
        the others, `NotFound` gets the names in their place that may be meant.
        """
        parts = self.rel.split("/")
        try:
            directory, depth = deepest_directory(self.place.root, parts)
        except LgError:  # something is in its way, or leads elsewhere
            return _refusal(self.place.rules, self.rel) or error
        with directory:
            rel = "/".join([*directory.rel.split("/"), *parts[depth:]]).lstrip("/")
            refusal = _refusal(self.place.rules, rel)
            if refusal is not None or isinstance(error, InvalidArguments):
                return refusal or error
            hint = suggestion(parts[depth], _visible(directory, self.place.rules))
        return NotFound(error.message, hint=f"in {directory.rel or 'the root'} {hint}" if hint else error.hint)


def _refusal(rules: FileRules, rel: str) -> PolicyDenied | None:
    """The refusal of a name that may not be read as a file, or not as a directory; `None` for one that may be both."""
    try:
        refuse_unreadable(rules, rel)
        refuse_unreadable(rules, rel, is_dir=True)
    except PolicyDenied as refusal:
        return refusal
    return None


def deepest_directory(root: Root, parts: Sequence[str]) -> tuple[Opened, int]:
    """Open the deepest directory on the way to a name that need not exist; return it and how many parts lead there.

    Raises as `Root.open_dir`, but never `NotFound`.
    """
    try:
        return root.open_dir("/".join(parts[:-1])), len(parts) - 1  # as nearly always
    except NotFound:
        pass
    reached = root.open_dir()
    for depth in range(1, len(parts)):
        try:
            deeper = root.open_dir("/".join(parts[:depth]))
        except NotFound:
            return reached, depth - 1
        except BaseException:
            reached.close()
            raise
        reached.close()
        reached = deeper
    return reached, len(parts) - 1


def _visible(directory: Opened, rules: FileRules) -> list[str]:
    names = [name for name in os.listdir(directory.fd) if name.isprintable()]
    prefix = f"{directory.rel}/" if directory.rel else ""
    hidden = rules.unreadable([prefix + name for name in names])
    return [name for number, name in enumerate(names) if number not in hidden]


class Workspace:
    """All roots. With several, every path begins with the name of one of them."""

    def __init__(self, roots: Sequence[Root], rules: FileRules, settings: FsSettings) -> None:
        several = len(roots) > 1
        names = [root.name for root in roots]
        if len(set(names)) != len(names):
            raise ConfigError(
                f"two roots are called {_twice(names)!r}", hint="the last parts of the root directories must differ"
            )
        self.places = [ServedRoot(root=root, prefix=f"{root.name}/" if several else "", rules=rules) for root in roots]
        self.settings = settings

    def locate(self, path: str) -> Located:
        """Find the root of a path. Raises `InvalidArguments`, `NotFound` or `PolicyDenied`."""
        if len(self.places) == 1:
            place = self.places[0]
            return Located(place=place, rel=place.root.normalise(path))
        if path.startswith("/"):
            for place in self.places:
                base = str(place.root.path)
                if path == base or path.startswith(base + "/"):
                    return Located(place=place, rel=place.root.normalise(path))
            raise PolicyDenied(f"{path!r} is outside every root", hint=self._names_hint())
        clean = self.places[0].root.normalise(path)
        name, _, rest = clean.partition("/")
        for place in self.places:
            if name == place.root.name:
                return Located(place=place, rel=rest)
        raise NotFound(f"no root is called {name!r}", hint=self._names_hint())

    def everywhere(self, path: str) -> list[Located]:
        """The places where a walk of `path` starts: one, or every root for the top of several."""
        if len(self.places) > 1 and not path.startswith("/") and not self.places[0].root.normalise(path):
            return [Located(place=place, rel="") for place in self.places]
        return [self.locate(path)]

    def open_file(self, path: str) -> tuple[Opened, ServedRoot]:
        """Open a file that may be read. Raises `PolicyDenied` when a rule forbids it, and as `Root.open_file`."""
        located = self.locate(path)
        if not located.rel:
            raise InvalidArguments(f"{path!r} is a directory", hint="list_files shows what is in it")
        try:
            file = located.place.root.open_file(located.rel)
        except (NotFound, InvalidArguments) as error:
            raise located.unopened(error) from error
        return self._permitted(located, file)

    def open_small(self, path: str, max_bytes: int) -> tuple[Opened, ServedRoot] | None:
        """Open a file that may be read, if it is small and takes no waiting. Raises `PolicyDenied` as `open_file`."""
        located = self.locate(path)
        file = located.place.root.open_at_once(located.rel)
        if file is None:
            return None
        if file.stat.st_size > max_bytes:
            file.close()
            return None
        return self._permitted(located, file)

    @staticmethod
    def _permitted(located: Located, file: Opened) -> tuple[Opened, ServedRoot]:
        try:
            refuse_unreadable(located.place.rules, file.rel)
        except PolicyDenied:
            file.close()
            raise
        return file, located.place

    def _names_hint(self) -> str:
        return "paths begin with one of: " + ", ".join(place.root.name for place in self.places)


def _twice(names: Sequence[str]) -> str:
    return next(name for name in names if names.count(name) > 1)


def refuse_unreadable(rules: FileRules, rel: str, *, is_dir: bool = False) -> None:
    """Raise `PolicyDenied` that names the rule if the resolved name may not be read."""
    if not rules.may_read(rel, is_dir=is_dir):
        why = rules.why_not_read(rel, is_dir=is_dir)
        raise PolicyDenied(
            f"{rel!r} may not be read: {why}", hint="[policy] read_deny and read_allow decide that for every tool"
        )


def from_place(starts: Sequence[Located], after: str | None) -> Sequence[Located]:
    """Those of the places where a walk starts that are left when it goes on after a path.

    Raises `InvalidArguments` when the path, out of a cursor, lies below none of them.
    """
    if after is None or len(starts) == 1:
        return starts
    for number, located in enumerate(starts):
        if after.startswith(located.place.prefix):
            return starts[number:]
    raise InvalidArguments("cursor names no root of this server", hint="begin again without a cursor")


@dataclass(frozen=True, kw_only=True)
class WalkArgs:
    """The part of a call that says where and how to walk."""

    path: str = ""
    recursive: bool = True
    include_ignored: bool = False
    after: str | None = None


@contextmanager
def walking(located: Located, args: WalkArgs, settings: FsSettings, job: Job) -> Iterator[Walk]:
    """Open a directory and prepare a walk from it, with the ignore files above it in force.

    Raises as `Root.open_dir`, and `PolicyDenied` if the directory may not be read.
    """
    place = located.place
    with _opened(located) as start:
        refuse_unreadable(place.rules, start.rel, is_dir=True)
        after = args.after
        walk = Walk(
            start,
            WalkPlan(
                rules=place.rules,
                job=job,
                max_entries=settings.walk_max_entries,
                recursive=args.recursive,
                include_ignored=args.include_ignored,
                after=None if after is None else tuple(after.split("/")),
            ),
        )
        if start.rel and not args.include_ignored:
            _hold_ignores_above(place.root, start.rel, walk)
        yield walk


def _opened(located: Located) -> Opened:
    try:
        return located.place.root.open_dir(located.rel)
    except (NotFound, InvalidArguments) as error:
        raise located.unopened(error) from error


def _hold_ignores_above(root: Root, rel: str, walk: Walk) -> None:
    parts = rel.split("/")
    for depth in range(len(parts)):
        with root.open_dir("/".join(parts[:depth])) as directory:
            walk.hold_ignores(directory)
    if walk.would_ignore(rel):
        walk.forget_ignores()
