"""Change sets: applied whole or not at all, journalled, reverted."""
