"""Puts pages, interface, login and static files together into the routes that a program serves."""
