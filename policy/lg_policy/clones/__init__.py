"""Clones of repositories for the run service: git, run with care, and the directories that it fills."""
