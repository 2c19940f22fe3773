"""Reads one file: its language, its symbols, the names that it uses. The parser runs in a process of its own."""
