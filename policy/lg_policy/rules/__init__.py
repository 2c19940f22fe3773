"""Policy rules: what they match, what they decide, and the defaults for other calls."""
