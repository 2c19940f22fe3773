"""`lg-gateway import`, `install`, `secrets`: the files of MCP clients, and what no file should hold."""
