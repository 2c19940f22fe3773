"""How fast the console's pages are in a browser."""
