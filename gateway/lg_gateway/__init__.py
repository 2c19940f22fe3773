"""One MCP endpoint in front of many MCP servers: policy, approval, ledger."""
