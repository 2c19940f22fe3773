"""Prompts of the language models, one file each."""
