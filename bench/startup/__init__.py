"""How long our programs take to be ready."""
