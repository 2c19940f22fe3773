"""A restricted MCP server that knows the code below one root: symbols, references, a map, a search."""
