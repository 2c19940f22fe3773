"""What the console shows of a gateway: its questions, ledger, servers and tools, and who may log in."""
