"""The built-in analyst: answers about a repository without any language model, from what the tools return."""
