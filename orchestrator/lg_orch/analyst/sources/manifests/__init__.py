"""Readers of manifests, one file a format."""
