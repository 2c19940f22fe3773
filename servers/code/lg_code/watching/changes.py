"""What may have changed since the last look, by directory and name."""

from __future__ import annotations

from dataclasses import dataclass, field

Folder = tuple[int, str]
"""A directory: the number of its root, and its path there, "" for the root itself."""
_MOST_NAMES = 2_000
"""With more names than this, all of the tree is looked at."""


@dataclass(kw_only=True)
class Changes:
    """Names of files and directories to look at again; those below a directory belong to its name."""

    everything: bool = False
    names: dict[Folder, set[str]] = field(default_factory=dict)
    count: int = 0

    def add(self, folder: Folder, name: str) -> None:
        """Note a name."""
        names = self.names.setdefault(folder, set())
        if name not in names:
            names.add(name)
            self.count += 1
            self.everything = self.everything or self.count > _MOST_NAMES

    def add_folder(self, folder: Folder) -> None:
        """Note a directory with all that is below it."""
        number, path = folder
        above, _, name = path.rpartition("/")
        if path:
            self.add((number, above), name)
        else:
            self.everything = True

    def __bool__(self) -> bool:
        return self.everything or bool(self.names)

    def in_order(self) -> list[tuple[Folder, set[str]]]:
        """Return the directories, those above others first; none that is below a name of another."""
        ordered: list[tuple[Folder, set[str]]] = []
        for folder, names in sorted(self.names.items(), key=lambda item: (item[0][0], item[0][1].count("/"), item[0])):
            number, path = folder
            parts = path.split("/") if path else []
            above = (("/".join(parts[:depth]), part) for depth, part in enumerate(parts))
            if not any(part in self.names.get((number, parent), ()) for parent, part in above):
                ordered.append((folder, names))
        return ordered
