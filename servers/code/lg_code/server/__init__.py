"""The MCP server: tools, schemas, texts."""
