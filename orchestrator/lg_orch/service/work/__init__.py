"""Workers: they claim runs, drive them, and give them back."""
