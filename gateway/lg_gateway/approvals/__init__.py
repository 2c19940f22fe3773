"""Questions to a human about a call, and their answers."""
