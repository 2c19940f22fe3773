"""Starting processes, reading and limiting them, and ending them with all their descendants."""
