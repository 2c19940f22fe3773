"""Patches: parsed from four formats, matched against files, planned without touching them."""
