"""Command templates: which arguments a caller may pass."""
