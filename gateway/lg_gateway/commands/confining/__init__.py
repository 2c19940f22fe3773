"""`lg-gateway confine`, `connect`: a client in a sandbox, and its way to the gateway."""
