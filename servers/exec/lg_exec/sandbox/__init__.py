"""Sandboxes: what contains a command on Linux and macOS, and the proof that it does."""
