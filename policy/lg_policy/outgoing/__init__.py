"""HTTP requests to addresses that settings and servers name: which are allowed, by which proxy, with which limits."""
