"""A restricted MCP server for the files under one root."""
