"""The journal of change sets below a root, which `lg-fs` and `lg-exec` share, and the undoing of interrupted ones."""
