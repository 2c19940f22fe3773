"""The MCP server: tools, schemas, resources, and the text of its answers."""
