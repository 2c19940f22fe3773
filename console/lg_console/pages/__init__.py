"""One module a page: what it shows, as a tree of elements."""
