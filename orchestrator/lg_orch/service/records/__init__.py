"""The runs that the service knows: rows in SQLite or PostgreSQL, events and files."""
