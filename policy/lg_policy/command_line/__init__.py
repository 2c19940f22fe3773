"""Command lines of programs with many commands: declared as data, then parsed. Standard library only."""
