"""Paths below a root: opened without leaving it, matched by glob, judged in every spelling."""
