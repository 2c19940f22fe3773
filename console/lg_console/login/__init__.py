"""Logging in to the console: one-time links, operators' tokens, sessions, and what each request must show."""
