"""What the console shows of the run service, and who may log in to it."""
