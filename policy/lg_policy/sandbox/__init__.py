"""What sandboxes on Linux are built from: bubblewrap, the visible system, hidden names, the call filter, limits."""
