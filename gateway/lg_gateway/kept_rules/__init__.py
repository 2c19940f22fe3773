"""Rules that a human keeps: proposed from a call or from history, written into the user's settings, and taken back."""
