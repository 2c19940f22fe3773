"""Resolves the file that an operation means. Links are followed, and write rules apply to the resolved name."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from lg_fs.patch.dialects.file_names import readings, readings_with_prefix, words_of
from lg_fs.patch.model import FileChange
from lg_policy.errors import Conflict, InvalidArguments, LgError, NotFound, PolicyDenied
from lg_policy.paths.globs import fold
from lg_policy.paths.root import Opened, Root, as_error
from lg_policy.tree.look_alikes import invisible, look_alike, quoted, skeleton
from lg_policy.tree.nearby import deepest_directory, visible_names
from lg_policy.tree.walk import MAX_DEPTH
from lg_policy.tree.workspace import ServedRoot, Workspace, refuse_unreadable

_JOINERS = {0x200C: None, 0x200D: None}
_SHORT_NAME = re.compile(r"git~\d", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A file: the path as given, its root, its name below the root before and after links are followed, and its status
    if it exists.
    """

    place: ServedRoot
    given: str
    named: str
    rel: str
    status: os.stat_result | None


class Targets:
    """Resolves the paths of one patch."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def places(self, changes: Sequence[FileChange]) -> list[ServedRoot]:
        """Return the roots that a patch touches, in the order in which everybody locks them.

        A path below no root is skipped here: planning its operation reports it.
        """
        found: dict[str, ServedRoot] = {}
        for change in changes:
            for path in (change.path, change.to):
                with suppress(LgError):
                    place = self._workspace.locate(path or change.path).place
                    found[place.root.id] = place
            if len(self._workspace.places) > 1 and change.op == "update":
                with suppress(LgError):
                    # A name that is not there as it is written may mean a file below another root.
                    meant = None if self._there(change.path) else self.meant(change)
                    found |= {meant.place.root.id: meant.place} if meant is not None else {}
        return [found[name] for name in sorted(found)]

    def with_longer_names(self, changes: Sequence[FileChange]) -> list[FileChange]:
        """Return the changes with the longer name where a file of that name is there: its line says so as a whole."""
        return [
            replace(change, path=next((name for name in change.longer if self._there(name)), change.path), longer=())
            for change in changes
        ]

    def existing(self, path: str) -> Target:
        """Resolve a file to change, move or delete.

        Raises `NotFound`, `InvalidArguments` (no regular file), `PolicyDenied` (a rule, or a link out of the root).
        """
        target = self.resolve(path)
        self._check(target)  # first, so that a refusal does not tell whether a hidden file is there
        if target.status is None:
            error = NotFound(f"{path!r} does not exist", hint="list_files shows what is there")
            raise self._workspace.locate(path).unopened(error)
        return target

    def meant(self, change: FileChange) -> Target | None:
        """Resolve the file that a name means which is not there as it is written; `None` if no file is meant.

        The lines that the change shows must still be in that file. Raises `InvalidArguments` if two files may be meant.
        """
        if change.exact_path:
            return None
        shows_lines = any(hunk.old for hunk in change.hunks)
        texts = [change.path, *(change.headings if shows_lines else ())]
        kinds = [[name for text in texts for name in readings(text, shows_lines=shows_lines)]]
        if shows_lines:
            kinds.append([name for name in readings_with_prefix(change.path) if self._is_prefix(change.path)])
            kinds.append([name for text in texts for name in words_of(text)])
        for names in kinds:
            found = {target.place.prefix + target.rel: target for name in names if (target := self._there(name))}
            if len(found) > 1:
                which = " or ".join(map(repr, sorted(found)[:2]))
                raise InvalidArguments(f"the patch may mean {which}", hint="write the path alone on its line")
            for target in found.values():
                if change.op != "update":
                    self.refuse_link(target.place.prefix + target.named)
                return target
        return None

    def _there(self, path: str) -> Target | None:
        """Resolve a file that may be changed; `None` if there is none of that name."""
        try:
            target = self.resolve(path)
            self._check(target)
        except LgError:
            return None
        return target if target.status is not None else None

    def _is_prefix(self, path: str) -> bool:
        """Return whether the first part of a path is no directory: then it is the prefix of a diff."""
        try:
            located = self._workspace.locate(path[:1])
            located.place.root.open_dir(located.rel).close()
        except NotFound:
            return True
        except LgError:
            pass
        return False

    def missing(self, path: str, *, source: str | None = None) -> Target:
        """Resolve a file to create, or the new name of `source`.

        Raises `Conflict` if its name, or one that looks like it, exists; `InvalidArguments` for a name
        with invisible characters.
        """
        target = self.resolve(path, follow_last=False)
        self._check(target)
        if target.status is not None:
            raise Conflict(
                f"{path!r} exists already{_kind(target.status)}", hint="update it instead, or choose another name"
            )
        if target.rel.count("/") >= MAX_DEPTH:
            raise InvalidArguments(
                f"{path[:80]!r}… lies more than {MAX_DEPTH} directories deep",
                hint="tools do not enter such directories",
            )
        if "\\" in path and "\\" not in (source or ""):
            raise InvalidArguments(
                f"the new name {path!r} contains a backslash", hint='separate directories with "/", on Windows too'
            )
        self._refuse_deceptive(target, source)
        return target

    def is_missing(self, path: str) -> bool:
        """Return whether nothing has that name. Raises as `existing` for a name that may not be written."""
        target = self.resolve(path)
        self._check(target)
        return target.status is None

    def refuse_two_meanings(self, change: FileChange) -> None:
        """Raise `InvalidArguments` if the only name in the header of a diff may, or may not, have a prefix."""
        if change.or_path is None:
            return
        try:
            located = self._workspace.locate(change.or_path)
            refuse_unreadable(located.place.rules, located.rel)
            located.place.root.open_parent(located.rel)[0].close()
        except LgError:
            return  # there is no such directory
        raise InvalidArguments(
            f"the diff may mean {change.path!r} or {change.or_path!r}",
            hint="give both lines, '--- a/PATH' and '+++ b/PATH'",
        )

    def readable(self, path: str) -> Target:
        """Resolve a file to read; it need not exist. Raises `PolicyDenied` if it may not be read."""
        target = self.resolve(path)
        refuse_unreadable(target.place.rules, target.rel)
        return target

    def _refuse_deceptive(self, target: Target, source: str | None) -> None:
        """Refuse a new name that hides characters, or that many systems and readers take for an existing one."""
        hidden = invisible(target.rel)
        if hidden is not None:
            raise InvalidArguments(
                f"the new name {target.given!a} contains {hidden}, which does not show", hint="leave it out of the name"
            )
        rules = target.place.rules
        if not rules.may_read(skeleton(target.rel)):
            raise PolicyDenied(
                f"the new name {target.given!r} looks like one that may not be read", hint="choose another name"
            )
        elsewhere = "/".join(map(_elsewhere, target.rel.split("/")))
        if elsewhere != target.rel and not (rules.may_write(elsewhere) and rules.may_read(elsewhere)):
            raise PolicyDenied(
                f"the new name {target.given!r} is {elsewhere!r} on other systems, which may not be written",
                hint="choose another name",
            )
        # A file may be given another spelling of its own name.
        own = source if source is not None and fold(source) == fold(target.rel) else None
        parts = target.rel.split("/")
        directory, depth = deepest_directory(target.place.root, parts)
        with directory:
            others = visible_names(directory, rules)
        if any(part != part.strip() for part in parts[depth:]):
            raise InvalidArguments(
                f"the new name {target.given!r} begins or ends with a blank, which does not show",
                hint="leave it out of the name",
            )
        above = "".join(f"{part}/" for part in parts[:depth])
        twin = look_alike(parts[depth], (other for other in others if above + other != own))
        if twin is not None:
            raise Conflict(
                f"{target.given!r}: {parts[depth]!r} looks like {quoted(twin)}, which exists",
                hint="many systems take such names for one: choose another, or change the file that exists",
            )

    def open(self, target: Target) -> Opened:
        """Open a resolved name. A link there now means that the file was swapped meanwhile."""
        file = target.place.root.open_file(target.rel, follow=False)
        try:
            self._workspace.refuse_hard_link(file)
        except PolicyDenied:
            file.close()
            raise
        return file

    def resolve(self, path: str, *, follow_last: bool = True) -> Target:
        """Resolve links in a path, which need not exist. Raises `PolicyDenied` if it leads out of the root."""
        located = self._workspace.locate(path)
        place, root = located.place, located.place.root
        if not located.rel:
            raise InvalidArguments(f"{path!r} names the root itself", hint="name a file below it")
        refuse_unreadable(place.rules, located.rel)  # before anything tells whether it is there
        if follow_last:
            try:
                with root.open_file(located.rel) as file:
                    return Target(place=place, given=path, named=located.rel, rel=file.rel, status=file.stat)
            except NotFound:
                pass  # it, or a directory on the way, does not exist: resolve what does
            except InvalidArguments as error:
                raise located.unopened(error) from error
        try:
            rel, status = self._lexical_rest(root, located.rel)
        except InvalidArguments as error:
            raise located.unopened(error) from error
        if status is not None and follow_last and stat.S_ISLNK(status.st_mode):
            raise located.unopened(NotFound(f"{path!r} does not exist"))
        return Target(place=place, given=path, named=located.rel, rel=rel, status=status)

    @staticmethod
    def _lexical_rest(root: Root, rel: str) -> tuple[str, os.stat_result | None]:
        """Resolve the part of a path that exists; the rest is taken as it is."""
        parts = rel.split("/")
        parent, depth = deepest_directory(root, parts)
        with parent:
            status = _status(parts[depth], parent.fd)
        if status is not None and depth < len(parts) - 1:
            raise InvalidArguments(f"{'/'.join(parts[: depth + 1])!r} is in the way of {rel!r}")
        return "/".join([*parent.rel.split("/"), *parts[depth:]]).lstrip("/"), status

    def _check(self, target: Target) -> None:
        rules = target.place.rules
        for rel in dict.fromkeys((target.named, target.rel)):
            refuse_unreadable(rules, rel)
            if not rules.may_write(rel):
                raise PolicyDenied(
                    f"{rel!r} may not be written: {rules.why_not_write(rel)}",
                    hint="[policy] write_deny and write_allow in the server's settings decide what may be written",
                )

    def refuse_link(self, path: str) -> None:
        """Raise `InvalidArguments` if the last name of a path is a link: links are neither moved nor deleted."""
        located = self._workspace.locate(path)
        try:
            parent, name = located.place.root.open_parent(located.rel)
        except (NotFound, InvalidArguments) as error:
            raise located.unopened(error) from error
        with parent:
            status = _status(name, parent.fd)
        if status is not None and stat.S_ISLNK(status.st_mode):
            raise InvalidArguments(f"{path!r} is a symbolic link", hint="name the file that it points to")


def _elsewhere(name: str) -> str:
    """Return the name as other systems may take it.

    Windows leaves dots and blanks at the end out, what follows a colon names a stream of the file, and `GIT~1` is the
    short name of `.git`. macOS leaves joiners out.
    """
    plain = name.partition(":")[0].rstrip(". ").translate(_JOINERS) or name
    return ".git" if _SHORT_NAME.fullmatch(plain) else plain


def _kind(status: os.stat_result) -> str:
    """Say what has a name already, if it is not a file. On file systems that fold case, any spelling finds it."""
    kinds = ((stat.S_ISREG, ""), (stat.S_ISDIR, ", as a directory"), (stat.S_ISLNK, ", as a symbolic link"))
    return next((text for is_kind, text in kinds if is_kind(status.st_mode)), ", as a special file")


def _status(name: str, dir_fd: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise as_error(error, name) from error
