"""What the commands share at a terminal: output and keys."""
