"""What changed in the tree since it was last looked at, as the kernel tells it."""
