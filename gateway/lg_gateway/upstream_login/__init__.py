"""The gateway's logins at upstream servers: found by discovery, kept encrypted, renewed, shared or per caller."""
