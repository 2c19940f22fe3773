"""What a caller may have meant by a path that leads nowhere. Hidden names are never part of the answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress

from lg_policy.errors import InvalidArguments, LgError, NotFound
from lg_policy.paths.file_rules import FileRules
from lg_policy.paths.root import Opened, Root
from lg_policy.tree.look_alikes import quoted, suggestion
from lg_policy.tree.names import nameable, shown

_MAX_NAMES = 20_000
_MAX_SHORTER = 10


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


def link_target(root: Root, directory: Opened, name: str, rest: Sequence[str]) -> str | None:
    """Return the path that a link stands for, with the parts after it, as text below the root.

    `None` for what is no link, and for one that leads out of the root: that is refused as such.
    """
    try:
        target = os.readlink(name, dir_fd=directory.fd)
    except OSError:
        return None
    parts = [part for part in directory.rel.split("/") if part]
    if target.startswith("/"):
        base = f"{root.path}/"
        if not target.startswith(base):
            return None
        parts, target = [], target[len(base) :]
    for part in (*target.split("/"), *rest):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def blocking_link(root: Root, parts: Sequence[str]) -> str | None:
    """Return what the first link stands for on the way to a path that cannot be followed; `None` if that is no link."""
    for depth in range(1, len(parts)):
        name = "/".join(parts[:depth])
        try:
            root.open_dir(name).close()
        except LgError:
            with suppress(LgError):
                parent, last = root.open_parent(name)
                with parent:
                    return link_target(root, parent, last, parts[depth:])
            return None
    return None


def is_hidden(rules: FileRules, rel: str) -> bool:
    """Return whether a name may not be read as a file, or not be entered as a directory, should it be one."""
    return not rules.may_read(rel) or not rules.may_read(rel, is_dir=True)


def visible_names(directory: Opened, rules: FileRules) -> list[str]:
    """Return the names in a directory that may be shown. Of a very large directory it returns only some."""
    prefix = f"{directory.rel}/" if directory.rel else ""
    names: list[str] = []
    judged: list[str] = []
    with os.scandir(directory.fd) as scan:
        for dirent in scan:
            if nameable(dirent.name):
                names.append(dirent.name)
                is_dir = dirent.is_dir(follow_symlinks=False)
                judged.append(f"{prefix}{dirent.name}/" if is_dir else prefix + dirent.name)
            if len(names) >= _MAX_NAMES:
                break
    hidden = rules.unreadable(judged)
    return [name for number, name in enumerate(names) if number not in hidden]


def names_below(root: Root) -> Callable[[str], list[str] | None]:
    """Return a function that lists a directory below the root, and returns `None` if it is not a directory."""

    def names(rel: str) -> list[str] | None:
        try:
            with root.open_dir(rel) as directory:
                return os.listdir(directory.fd)
        except LgError:
            return None

    return names


def shorter_path(root: Root, rules: FileRules, parts: Sequence[str]) -> str | None:
    """Return the longest end of a path that exists below the root, if the path begins with too much; else `None`."""
    for begin in range(1, min(len(parts), _MAX_SHORTER + 1)):
        rel = "/".join(parts[begin:])
        if is_hidden(rules, rel):
            return None
        with suppress(LgError):
            try:
                opened = root.open_file(rel)
            except InvalidArguments:
                opened = root.open_dir(rel)
            with opened:
                return None if is_hidden(rules, opened.rel) else rel
    return None


def hint_for(root: Root, rules: FileRules, directory: Opened, name: str, parts: Sequence[str], prefix: str) -> str:
    """Return a hint for a path whose part `name` is not in `directory`; "" if nothing is like it."""
    if "\\" in name:
        return 'separate names with "/"'
    if "*" in name:
        return "a path is no pattern: give the directory as path, and the pattern as glob"
    inside = suggestion(name, visible_names(directory, rules))
    if inside:
        return f"in {shown(prefix + directory.rel) or 'the root'} {inside}"
    shorter = shorter_path(root, rules, parts)
    return f"there is {quoted(prefix + shorter)}" if shorter else ""
