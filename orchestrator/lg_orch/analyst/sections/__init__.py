"""Sections of the summary."""
