"""What the gateway starts: server specifications, child processes, and the helper that ends them."""
