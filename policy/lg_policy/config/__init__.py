"""The settings: every table, its defaults, and how files and flags become one tree."""
