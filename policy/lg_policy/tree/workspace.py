"""The roots of one server: from the path in a call to a root, a name below it, and the rules that hold there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from lg_policy.config.settings import FsSettings
from lg_policy.errors import ConfigError, Conflict, InvalidArguments, LgError, NotFound, PolicyDenied
from lg_policy.jobs import Job
from lg_policy.paths.component_walk import MAX_LINKS
from lg_policy.paths.file_rules import FileRules
from lg_policy.paths.root import Opened, Root
from lg_policy.paths.spellings import may_be_respelled, spelled_on_disk, without_scheme
from lg_policy.tree.names import shown
from lg_policy.tree.nearby import blocking_link, deepest_directory, hint_for, link_target, names_below, shorter_path
from lg_policy.tree.walk import Walk, WalkPlan


@dataclass(frozen=True, kw_only=True)
class ServedRoot:
    """A root, and the prefix ("" or "NAME/") that its paths carry on the wire."""

    root: Root
    prefix: str
    rules: FileRules
    identity: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        status = os.fstat(self.root.fd)
        object.__setattr__(self, "identity", (status.st_dev, status.st_ino))

    @property
    def name(self) -> str:
        """Return the root's name in paths and messages."""
        return shown(self.root.name)

    def check_identity(self) -> None:
        """Raise `Conflict` if the root directory was removed or replaced since the server started."""
        try:
            status = os.stat(self.root.path)
        except OSError as error:
            raise Conflict(
                f"the root directory {str(self.root.path)!r} is gone: {error.strerror}",
                hint="restore the directory, or restart the server with another root",
            ) from error
        if (status.st_dev, status.st_ino) != self.identity:
            raise Conflict(
                f"the root directory {str(self.root.path)!r} was replaced by another since the server started",
                hint="restart the server to work on the new one",
            )


@dataclass(frozen=True, kw_only=True)
class Located:
    """A path of a call: its root and the name below it, checked as text but not yet opened."""

    place: ServedRoot
    rel: str

    @property
    def shown(self) -> str:
        """Return the path as the client knows it."""
        return self.place.prefix + self.rel

    def unopened(self, error: NotFound | InvalidArguments, *, links: int = 0) -> LgError:
        """Return the error for a path that cannot be opened: nothing is there, or something else than was asked for.

        A name that may not be read is refused as if it were there, so that no answer tells what is there. For the
        others, `NotFound` gets the names that may be meant.
        """
        rules, root = self.place.rules, self.place.root
        parts = self.rel.split("/")
        refusal = _refusal(rules, self.rel)
        if refusal is not None:
            return refusal
        try:
            directory, depth = deepest_directory(root, parts)
        except LgError:  # something is in its way, or leads elsewhere
            return self._through_link(blocking_link(root, parts), error, links) or error
        with directory:
            rel = "/".join([*directory.rel.split("/"), *parts[depth:]]).lstrip("/")
            refusal = _refusal(rules, rel)
            if refusal is not None:
                return refusal
            target = link_target(root, directory, parts[depth], parts[depth + 1 :])
            refusal = self._through_link(target, error, links)
            if refusal is not None or isinstance(error, InvalidArguments):
                return refusal or error
            if not rules.may_read(directory.rel, is_dir=True):
                return error
            if target is not None:
                points = f"{parts[depth]!r} is a link, and what it points to does not exist"
                return NotFound(f"{error.message}: {points}")
            hint = hint_for(root, rules, directory, parts[depth], parts, self.place.prefix)
        return NotFound(error.message, hint=hint or error.hint)

    def _through_link(self, target: str | None, error: NotFound | InvalidArguments, links: int) -> PolicyDenied | None:
        """Judge what a link points to as if it were named, so that links tell no more than names do."""
        if target is None or links >= MAX_LINKS:
            return None
        found = replace(self, rel=target).unopened(error, links=links + 1)
        return found if isinstance(found, PolicyDenied) else None


def _refusal(rules: FileRules, rel: str) -> PolicyDenied | None:
    """Return the error for a name that may not be read as a file or as a directory; `None` if it may be both."""
    try:
        refuse_unreadable(rules, rel)
        refuse_unreadable(rules, rel, is_dir=True)
    except PolicyDenied as refusal:
        return refusal
    return None


class Workspace:
    """All roots. With several, every path begins with the name of one of them."""

    def __init__(self, roots: Sequence[Root], rules: FileRules, settings: FsSettings) -> None:
        several = len(roots) > 1
        names = [shown(root.name) for root in roots]
        if len(set(names)) != len(names):
            raise ConfigError(
                f"two roots are called {_twice(names)!r}", hint="the last parts of the root directories must differ"
            )
        self.places = [
            ServedRoot(root=root, prefix=f"{name}/" if several else "", rules=rules)
            for root, name in zip(roots, names, strict=True)
        ]
        self.settings = settings

    def locate(self, path: str) -> Located:
        """Find the root of a path. Raises `Conflict` for a root that is gone, `InvalidArguments`, `NotFound` or
        `PolicyDenied`.
        """
        place, rel = self._placed(path)
        place.check_identity()
        if may_be_respelled(rel):
            rel = spelled_on_disk(rel, names_below(place.root))
        return Located(place=place, rel=rel)

    def _placed(self, path: str) -> tuple[ServedRoot, str]:
        plain = without_scheme(path)
        if plain is None:
            raise InvalidArguments(f"{path[:200]!r} is not a file of this machine", hint="use file:///PATH or the path")
        if plain is not path:
            plain = self._below_a_root(plain)
        if len(self.places) == 1:
            place = self.places[0]
            try:
                return place, place.root.normalise(plain)
            except PolicyDenied as error:
                raise _outside(place, plain, error) from error
        if plain.startswith("/"):
            for place in self.places:
                base = str(place.root.path)
                if plain == base or plain.startswith(base + "/"):
                    return place, place.root.normalise(plain)
            raise PolicyDenied(f"{path!r} is outside every root", hint=self._names_hint())
        clean = self.places[0].root.normalise(plain)
        name, _, rest = clean.partition("/")
        for place in self.places:
            if name == place.name:
                return place, rest
        raise NotFound(f"no root is called {name!r}", hint=self._names_hint())

    def _below_a_root(self, path: str) -> str:
        """Return the path of an address: absolute if it begins with a root's path, else relative, as in resources."""
        bases = [str(place.root.path) for place in self.places]
        return path if any(path == base or path.startswith(f"{base}/") for base in bases) else path.lstrip("/")

    def everywhere(self, path: str) -> list[Located]:
        """Return the places where a walk of `path` starts: one, or every root for the top of several."""
        if len(self.places) > 1 and not path.startswith(("/", "file:")) and not self.places[0].root.normalise(path):
            for place in self.places:
                place.check_identity()
            return [Located(place=place, rel="") for place in self.places]
        return [self.locate(path)]

    def top(self, place: ServedRoot) -> Located:
        """Return the top of a root."""
        place.check_identity()
        return Located(place=place, rel="")

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
        place, rel = self._placed(path)
        if may_be_respelled(rel):
            return None  # directories would have to be read
        place.check_identity()
        file = place.root.open_at_once(rel)
        if file is None:
            return None
        if file.stat.st_size > max_bytes:
            file.close()
            return None
        return self._permitted(Located(place=place, rel=rel), file)

    def _permitted(self, located: Located, file: Opened) -> tuple[Opened, ServedRoot]:
        """Judge the name that was given and the one that it leads to. Raises `PolicyDenied`, the file closed."""
        try:
            for rel in {located.rel, file.rel}:
                refuse_unreadable(located.place.rules, rel)
            self.refuse_hard_link(file)
        except PolicyDenied:
            file.close()
            raise
        return file, located.place

    def refuse_hard_link(self, file: Opened) -> None:
        """Raise `PolicyDenied` for a file with several names, where the settings do not let such be read."""
        if self.settings.hard_links == "refuse" and file.stat.st_nlink > 1:
            raise PolicyDenied(
                f"{file.rel!r} has {file.stat.st_nlink} hard links, and the others may lie outside the root",
                hint='[fs] hard_links = "read" in the settings lets such files be read',
            )

    def _names_hint(self) -> str:
        return "paths begin with one of: " + ", ".join(place.name for place in self.places)


def _outside(place: ServedRoot, path: str, error: PolicyDenied) -> PolicyDenied:
    """Return the error for a path outside the root. It names the path below the root that may be meant."""
    parts = [part for part in path.split("/") if part]
    if not path.startswith("/") or ".." in parts or not parts:
        return error
    meant = shorter_path(place.root, place.rules, ["", *parts])
    return PolicyDenied(error.message, hint=f"{error.hint}; there is {meant!r}") if meant else error


def _twice(names: Sequence[str]) -> str:
    return next(name for name in names if names.count(name) > 1)


def refuse_unreadable(rules: FileRules, rel: str, *, is_dir: bool = False) -> None:
    """Raise `PolicyDenied` that names the rule if the name may not be read."""
    if not rules.may_read(rel, is_dir=is_dir):
        why = rules.why_not_read(rel, is_dir=is_dir)
        raise PolicyDenied(
            f"{rel!r} may not be read: {why}",
            hint="[policy] read_deny and read_allow in the server's settings decide what every tool may read",
        )


def from_place(starts: Sequence[Located], after: str | None) -> Sequence[Located]:
    """Return the places of a walk that are left when it continues after a path.

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
    chosen: bool = True
    entered: Callable[[int, str], None] | None = None


@contextmanager
def walking(located: Located, args: WalkArgs, settings: FsSettings, job: Job) -> Iterator[Walk]:
    """Open a directory and prepare a walk from it, with the ignore files above it in force.

    Raises as `Root.open_dir`, and `PolicyDenied` if the directory may not be read.
    """
    place = located.place
    with _opened(located, follow=args.chosen) as start:
        for rel in {located.rel, start.rel}:
            refuse_unreadable(place.rules, rel, is_dir=True)
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
                chosen=args.chosen,
                entered=args.entered,
            ),
        )
        if start.rel and not args.include_ignored:
            _hold_ignores_above(place.root, start.rel, walk, job)
        yield walk


def _opened(located: Located, *, follow: bool) -> Opened:
    try:
        return located.place.root.open_dir(located.rel, follow=follow)
    except (NotFound, InvalidArguments) as error:
        raise located.unopened(error) from error


def _hold_ignores_above(root: Root, rel: str, walk: Walk, job: Job) -> None:
    parts = rel.split("/")
    for depth in range(len(parts)):
        job.check_time()
        with root.open_dir("/".join(parts[:depth])) as directory:
            walk.hold_ignores(directory)
    if walk.would_ignore(rel):
        walk.start_is_ignored()
