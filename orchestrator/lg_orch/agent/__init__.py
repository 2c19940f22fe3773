"""The graph: its nodes, what they may use, and the rules they follow. Read `graph` first."""
