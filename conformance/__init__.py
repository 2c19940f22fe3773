"""What of MCP gets through the gateway: the official conformance suite and a matrix of eras and transports."""
