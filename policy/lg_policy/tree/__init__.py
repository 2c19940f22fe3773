"""Directory trees below the roots of one server: paths of a call, walks, ignore files, names that may be meant."""
