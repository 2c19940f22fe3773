"""One file for each command of `lg-gateway`, and what they share at the terminal."""
