"""Servers that start from a fork: imports are paid once for all, and memory is shared. Read `start` first."""
