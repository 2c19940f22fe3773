"""The built-in analyst: answers about a repository without any language model, from what the tools return."""

from lg_orch.analyst.mind import Analyst

__all__ = ["Analyst"]
