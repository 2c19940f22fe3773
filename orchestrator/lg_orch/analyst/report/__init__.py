"""Markdown in which every statement names its place."""
