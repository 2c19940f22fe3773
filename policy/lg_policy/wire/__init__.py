"""MCP as our own servers speak it: transports, tools, call metadata."""
