"""Programs of others in a sandbox: what they may see, and a proxy that connects them to named hosts only."""
