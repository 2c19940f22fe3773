"""Command templates: which arguments a named command accepts."""
