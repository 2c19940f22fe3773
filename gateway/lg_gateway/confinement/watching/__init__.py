"""What is looked at while a confined program runs: new names to hide from it, and the size of its home."""
