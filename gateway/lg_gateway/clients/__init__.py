"""The configuration files of MCP clients: reads the servers in them, and writes an entry of ours into them."""
