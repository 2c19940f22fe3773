"""The MCP server: its tools, and one call from arguments to result."""
