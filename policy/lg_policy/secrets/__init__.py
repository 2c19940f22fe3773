"""Secrets in text: what they look like and how they are masked."""
