"""A conversation at a terminal: one gateway, one run for each request, each run following the one before."""
