"""`lg-orch trust`: let a repository's `.lg.toml` count in full, for exactly the content it has now."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lg_orch.text import visible

if TYPE_CHECKING:
    import argparse


def command(args: argparse.Namespace) -> int:
    """Show the file and record its digest outside the root, or forget it with `--forget`."""
    from lg_orch.setup import locate
    from lg_policy.trust import forget_repository_file, read_repository_file, trust_repository_file

    root, _state = locate(args)
    if args.forget:
        had = forget_repository_file(root)
        print(f"{root}: {'no longer trusted' if had else 'was not trusted'}")
        return 0
    if args.show:
        found = read_repository_file(root)
        print(f"{root}: " + ("no .lg.toml" if found is None else "trusted" if found.trusted else "not trusted"))
        return 0
    found = trust_repository_file(root)
    print(visible(found.data.decode("utf-8", "replace")), file=sys.stderr)
    print(f"trusted {found.path} with SHA-256 {found.digest}; any change to it ends this")
    return 0
