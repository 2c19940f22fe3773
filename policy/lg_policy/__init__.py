"""Settings, confined paths, rules, limits and masking that the servers, the gateway and the orchestrator share."""
