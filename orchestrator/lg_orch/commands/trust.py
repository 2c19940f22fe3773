"""`lg-orch trust`: accepts a repository's `.lg.toml` in full, or its `AGENTS.md` as advice, as they are now."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lg_orch.contracts.text import in_line, visible

if TYPE_CHECKING:
    import argparse


def command(args: argparse.Namespace) -> int:
    """Show the file and record its digest outside the root, or forget it with `--forget`."""
    from lg_orch.settings.setup import locate
    from lg_policy.config.trust import (
        FILE_NAME,
        GUIDE_NAME,
        forget_repository_file,
        read_repository_file,
        trust_repository_file,
    )

    root, _state = locate(args)
    if args.forget:
        had = forget_repository_file(root)
        print(f"{in_line(root)}: {'no longer trusted' if had else 'was not trusted'}")
        return 0
    if args.show:
        for name in (FILE_NAME, GUIDE_NAME):
            found = read_repository_file(root, name=name)
            print(f"{in_line(root)}: " + (f"no {name}" if found is None else f"{name} {_word(found.trusted)}"))
        return 0
    found = trust_repository_file(root, name=GUIDE_NAME if args.guide else FILE_NAME)
    print(visible(found.data.decode("utf-8", "replace")), file=sys.stderr)
    print(f"trusted {in_line(found.path)} with SHA-256 {found.digest}; any change to the file ends the trust")
    return 0


def _word(trusted: bool) -> str:
    return "trusted" if trusted else "not trusted"
