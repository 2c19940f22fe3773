"""Puts an entry of ours into a client's file, and takes it out again."""
