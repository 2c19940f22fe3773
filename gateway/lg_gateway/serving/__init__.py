"""The running gateway: set up from settings, served over MCP, reloaded, kept in order. Read `running` first."""
