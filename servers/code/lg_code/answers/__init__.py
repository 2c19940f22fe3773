"""One module for each question that a tool answers."""
