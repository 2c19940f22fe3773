"""Identifies callers: by our tokens, by access tokens of an authorization server, or as the local user."""
