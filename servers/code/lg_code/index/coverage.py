"""What an answer out of the index does not know, in words."""

from __future__ import annotations

from dataclasses import dataclass, field

_NAMED = 5


@dataclass(kw_only=True)
class Coverage:
    """How much of the tree the index holds."""

    files: int = 0
    """Files in the index."""
    pending: int = 0
    """Files that were seen and wait to be read."""
    complete: bool = True
    """Whether every file was looked at."""
    stopped: str = ""
    """Why the last pass did not get to its end."""
    seconds_old: float = 0.0
    """How long ago the tree was looked at, where it was not for this call."""
    hidden: int = 0
    """Names that the rules hide."""
    by_lines: int = 0
    """Files with a grammar that were read line by line all the same."""
    failed: list[str] = field(default_factory=list)
    """Some of them: they ended the parser."""

    def notes(self) -> list[str]:
        """Return what a reader must know, one sentence each; nothing if the index is whole."""
        said: list[str] = []
        if not self.complete:
            why = self.stopped or "the index is still being made"
            waiting = f"; {self.pending} files wait" if self.pending else ""
            said.append(f"not complete: {self.files} files are indexed{waiting}; {why}")
        if self.seconds_old >= 1:
            said.append(f"what was added to files less than {self.seconds_old:.0f} s ago may be missing")
        if self.failed:
            more = f" and {self.by_lines - len(self.failed)} more" if self.by_lines > len(self.failed) else ""
            said.append(f"read line by line, without a grammar: {', '.join(self.failed[:_NAMED])}{more}")
        return said
