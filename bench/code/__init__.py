"""Benches of the code server against its peers."""
