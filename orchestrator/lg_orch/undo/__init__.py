"""Reverts what a run changed."""
