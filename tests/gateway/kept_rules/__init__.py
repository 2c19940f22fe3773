"""Rules that a human keeps: which are offered, how they are written, and what they save."""
