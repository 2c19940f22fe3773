"""How each family of clients writes an entry, as the keys that all have in common."""
