"""What is kept of a run: directory, checkpoints, history, trace."""
