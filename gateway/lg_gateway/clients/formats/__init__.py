"""Reads and edits JSON with comments, TOML and YAML. What is not edited stays as it is, byte for byte."""
