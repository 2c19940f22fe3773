"""What reaches a server of its callers' clients, and what a server sends to them besides answers and questions."""
