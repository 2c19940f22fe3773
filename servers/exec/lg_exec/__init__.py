"""A restricted MCP server that runs named commands."""
