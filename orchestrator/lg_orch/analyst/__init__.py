"""The built-in analyst: answers about a repository without any language model, from what the tools return."""

from lg_orch.analyst.mind import LocalAnalyst

__all__ = ["LocalAnalyst"]
