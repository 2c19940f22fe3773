"""What people ask of a gateway, for commands and the console: calls of the ledger, decisions and why, their answers."""
