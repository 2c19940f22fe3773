"""Commands that look at running gateways and at settings."""
